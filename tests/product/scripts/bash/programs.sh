declare -A memo; fib() { local n=$1; if ((n < 2)); then result=$n; return; fi; [[ ${memo[$n]} ]] && { result=${memo[$n]}; return; }; fib $((n - 1)); local a=$result; fib $((n - 2)); ((result += a)); memo[$n]=$result; }; fib 60; echo $result

sieve=(); for ((i = 2; i <= 50; i++)); do sieve[i]=1; done; for ((i = 2; i * i <= 50; i++)); do for ((j = i * i; j <= 50; j += i)); do unset 'sieve[j]'; done; done; echo "${!sieve[@]}"

qsort() { (($# < 2)) && { echo -n "$* "; return; }; local p=$1 l=() g=(); shift; for x; do ((x < p)) && l+=($x) || g+=($x); done; qsort "${l[@]}"; echo -n "$p "; qsort "${g[@]}"; }; qsort 5 3 9 1 7 2; echo

to_roman() { local n=$1 out= v=(1000 900 500 400 100 90 50 40 10 9 5 4 1) s=(M CM D CD C XC L XL X IX V IV I) i; for i in "${!v[@]}"; do while ((n >= v[i])); do out+=${s[i]}; ((n -= v[i])); done; done; echo $out; }; to_roman 1994; to_roman 2026

for ((i = 1; i <= 15; i++)); do o=; ((i % 3)) || o=Fizz; ((i % 5)) || o+=Buzz; echo -n "${o:-$i} "; done; echo

collatz() { local n=$1 c=0; while ((n != 1)); do ((n = n % 2 ? 3 * n + 1 : n / 2, c++)); done; echo $c; }; collatz 27; collatz 97

caesar() { local s=$1 k=$2 out= c i; for ((i = 0; i < ${#s}; i++)); do printf -v c %d "'${s:i:1}"; printf -v c %o $(((c - 97 + k) % 26 + 97)); printf -v c "\\$c"; out+=$c; done; echo $out; }; caesar hello 3; caesar khoor 23

binary() { local n=$1 b=; while ((n)); do b=$((n & 1))$b; ((n >>= 1)); done; echo ${b:-0}; }; binary 10; binary 255; echo $((2#1010)) $((2#11111111))

while IFS=, read -r name age city; do printf '%-6s|%3d|%s\n' "$name" "$age" "$city"; done <<< $'ann,30,Oslo\nbob,4,Rome'

declare -A tree=([root]='a b' [a]='c d' [b]='e'); walk() { echo "$2$1"; local k; for k in ${tree[$1]}; do walk $k "$2  "; done; }; walk root ''

perm() { local prefix=$1 rest=$2 i; [[ $rest ]] || { echo -n "$prefix "; return; }; for ((i = 0; i < ${#rest}; i++)); do perm "$prefix${rest:i:1}" "${rest:0:i}${rest:i+1}"; done; }; perm '' abc; echo

m=(1 2 3 4); n=(5 6 7 8); for i in 0 1; do for j in 0 1; do echo -n "$((m[i*2] * n[j] + m[i*2+1] * n[2+j])) "; done; done; echo

text='the cat the dog the end'; declare -A c; for w in $text; do ((++c[$w])); done; for w in "${!c[@]}"; do echo "${c[$w]} $w"; done | sort -k1,1nr -k2

parse() { local -A o=(); while (($#)); do case $1 in --*) o[${1#--}]=${2-}; shift 2;; *) break;; esac; done; echo "${o[name]}:${o[size]} rest=$*"; }; parse --name x --size 3 a b

queue=(a b c); while ((${#queue[@]})); do echo -n "${queue[0]} "; [[ ${queue[0]} == a ]] && queue+=(d); queue=("${queue[@]:1}"); done; echo

retry() { local n=0; until "$@"; do ((++n >= 3)) && return 1; done; echo "after $n"; }; try=0; flaky() { ((++try > 2)); }; retry flaky; retry false; echo $?

log() { printf '[%s] %s\n' "$1" "${*:2}" >&2; }; log info started with "$#" words; { log warn to stdout; } 2>&1

with_dir() { (cd "$1" && "${@:2}"); }; mkdir d; with_dir d touch inside; ls d; cd d; with_dir .. ls | wc -l | tr -d ' '

tmp=$(mktemp -d); trap 'rm -rf "$tmp"; [[ -e $tmp ]] || echo removed' EXIT; echo data > "$tmp/f"; cat "$tmp/f"

total=0; while read -r n; do ((total += n)); done < <(seq 100); echo $total; awk '{ s += $1 } END { print s }' < <(seq 100)

paste -d, <(seq 3) <(seq 4 6); cmp <(seq 9) <(seq 9) && echo equal; diff <(seq 3) <(seq 4) | tail -n 1; sort -m <(printf 'a\nc\n') <(printf 'b\nd\n')

map() { local f=$1; shift; for x; do $f $x; done; }; double() { echo -n "$(($1 * 2)) "; }; map double 1 2 3; echo; compose() { $1 $($2 $3); }; inc() { echo $(($1 + 1)); }; compose inc inc 5

gen() { for i in 1 2 3; do echo $i; done; }; gen | while read x; do gen | while read y; do echo -n "$((x * y)) "; done; done; echo

producer() { for i in {1..5}; do echo item$i; done; }; consumer() { local n=0; while read -r l; do ((n++)); done; echo "$n items, last ${l:-none}"; }; producer | consumer

exec 4< <(seq 3); read -u 4 a; read -u 4 b; exec 4<&-; echo $a $b; { read -r x; read -r y; } < <(printf 'p\nq\n'); echo $y$x

s='key1=val1;key2=val 2;key3='; IFS=';' read -ra kv <<< "$s"; for p in "${kv[@]}"; do echo "${p%%=*} -> '${p#*=}'"; done

url='http://host:80/path?x=1&y=2'; [[ $url =~ ^([a-z]+)://([^:/]+):([0-9]+)(/[^?]*)\?(.*)$ ]] && printf '%s\n' "${BASH_REMATCH[@]:1}"

json='{"a": 1, "b": [2, 3]}'; r='"([a-z])": ([0-9]+)'; while [[ $json =~ $r ]]; do echo "${BASH_REMATCH[1]}=${BASH_REMATCH[2]}"; json=${json#*"${BASH_REMATCH[0]}"}; done

wc -c <<< "$(printf '%0.s=' {1..40})"; printf '%s\n' {a..c}{1..2} | paste -sd' '; echo {1..3}{a,b} | tr ' ' '\n' | sort -r | head -n 2

lock() { mkdir "$1.lock" 2>/dev/null; }; lock x && echo got; lock x || echo held; rmdir x.lock; lock x && echo again

set -euo pipefail; f() { local -r v=$(echo value | tr a-z A-Z); echo "$v"; }; f; g() { grep -q none <<< text || return 4; }; g || echo "failed $?"; false | true || echo "pipe $?"
