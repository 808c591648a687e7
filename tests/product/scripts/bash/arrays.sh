a=(1 2 3); echo ${a[0]} ${a[2]} ${a[@]} ${#a[@]} ${#a[1]} $a

a=(x); a+=(y z); a[5]=w; echo "${a[@]}" "${!a[@]}" ${#a[@]}

a=('a b' c); for i in "${a[@]}"; do echo "<$i>"; done; for i in ${a[@]}; do echo "[$i]"; done; echo "${a[*]}"

a=(a b c d e); echo "${a[@]:1:2}" "${a[@]:3}" "${a[@]: -2}" "${a[-1]}" "${a[@]::2}"

a=(1 2 3); unset 'a[1]'; echo "${a[@]}" "${!a[@]}"; unset a; echo "[${a[@]}]" ${#a[@]}

a=([3]=c [1]=a); echo "${a[@]}" "${!a[@]}"; a=([2]=x y z); echo "${!a[@]}"

declare -A m; m[k]=v; m[a b]=c; echo "${m[k]}" "${m[a b]}" ${#m[@]}; [[ -v m[k] ]] && echo there; unset 'm[k]'; echo ${#m[@]}

declare -A m=([one]=1 [two]=2); for k in $(printf '%s\n' "${!m[@]}" | sort); do echo "$k=${m[$k]}"; done

declare -A m; m[x]+=a; m[x]+=b; echo ${m[x]}; i=x; echo ${m[$i]}

a=(b a c); printf '%s\n' "${a[@]}" | sort | tr '\n' ' '; echo

a=(one two three); echo "${a[@]#t}" "${a[@]/o/0}" "${a[@]^}" "${#a[0]}"

a=(1 2 3); IFS=,; echo "${a[*]}" "${a[@]}"; IFS=+; echo $(( ${a[*]} ))

read -a a <<< 'x y z'; echo ${a[1]} ${#a[@]}; IFS=: read -ra p <<< /bin:/usr/bin; echo "${p[1]}"

mapfile -t a < <(printf '1\n2\n3\n'); echo ${#a[@]} ${a[2]}; mapfile -t -n 1 b <<< $'x\ny'; echo ${b[@]}

readarray -t -s 1 a <<< $'skip\nkeep'; echo "${a[@]}"; mapfile -d , -t c < <(printf 'a,b,c'); echo "${c[@]}"

f() { local -a l=("$@"); echo ${#l[@]} "${l[1]}"; }; f a 'b c' d

f() { local -n ref=$1; ref+=(added); echo ${#ref[@]}; }; x=(1); f x; echo "${x[@]}"

a=(); for i in 1 2 3; do a+=($((i * i))); done; echo "${a[@]}"; for i in "${!a[@]}"; do echo -n "$i:${a[i]} "; done; echo

a=(a b); a[1+1]=c; i=0; a[i++]=z; echo "${a[@]}" $i

a=(1 2); b=("${a[@]}" 3); echo "${b[@]}"; c=("${b[@]/%/x}"); echo "${c[@]}"

declare -a a=(1 2); declare -p a; declare -A h=([k]='v w'); declare -p h

x=scalar; echo ${x[0]} ${x[@]} ${#x[@]}; x[1]=more; echo "${x[@]}"

a=(1 2 3); echo "${a[@]@Q}"; a=("it's" 'a b'); echo "${a[@]@Q}"

set -- a b c d; echo "${@:2:2}" "${@: -1}" "${*:1:1}" "${@:0:1}" | wc -w

a=(x y); [[ " ${a[*]} " == *" y "* ]] && echo has; [[ " ${a[*]} " == *" z "* ]] || echo lacks

stack=(); stack+=(a); stack+=(b); echo "${stack[-1]}"; unset 'stack[-1]'; echo "${stack[@]}"

a=(3 1 2); n=${#a[@]}; for ((i = 0; i < n; i++)); do for ((j = i + 1; j < n; j++)); do ((a[i] > a[j])) && { t=${a[i]}; a[i]=${a[j]}; a[j]=$t; }; done; done; echo "${a[@]}"

a=($(echo 1 2 3)); echo ${#a[@]}; a=("$(echo 1 2 3)"); echo ${#a[@]}; touch x1 x2; a=(x*); echo "${a[@]}"

a=(${undefined[@]}); echo ${#a[@]}; a=("${undefined[@]}"); echo ${#a[@]}; a=(""); echo ${#a[@]}

declare -i n=2+3; echo $n; n+=1; echo $n; declare -ai v=(1+1 2*2); echo "${v[@]}"

declare -r c=1; (c=2) 2>/dev/null; echo $?; declare -l low=ABC; declare -u up=abc; echo $low $up

printf -v x '%03d' 7; echo $x; printf -v 'a[2]' hi; echo "${a[2]}" "${!a[@]}"

declare -A m=([a]=1); f() { local -A m=([b]=2); echo "${!m[@]}"; }; f; echo "${!m[@]}"

a=(1 2 3); unset a[0]; echo "${a[0]-none}" "${a[@]}"; a=("${a[@]}"); echo "${!a[@]}"

echo ${BASH_VERSINFO[0]} ${#BASH_VERSINFO[@]}; echo "${PIPESTATUS[@]}"; true | false | true; echo "${PIPESTATUS[@]}"
