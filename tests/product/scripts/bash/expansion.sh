echo {a,b,c} {1..5} {5..1} {a..e} x{1,2}y{3,4} {01..03} {1..10..3} {a,b{c,d}}

echo {} {a} a{,b} {a,} "{a,b}" \{a,b} {1..a} ${x}{a,b}

x=hello; echo ${x^} ${x^^} ${x^^[el]} ; x=HELLO; echo ${x,} ${x,,} ${x~} ${x~~}

x=hello; echo ${x:1} ${x:1:3} ${x: -3} ${x: -3:2} ${x:0:-1} ${x:10}

x=banana; echo ${x/a/o} ${x//a/o} ${x/#b/B} ${x/%a/A} ${x//an} ${x/x/y} ${x//[an]/-}

x=a.b.c; echo "${x//./ }" "${x/./\/}" "${x//./}"; y=.; echo ${x//$y/_}

x=name; name=value; echo ${!x}; prefix_a=1 prefix_b=2; echo ${!prefix_*} "${!prefix_@}"

x='a b'; echo "${x@Q}" ${x@U} ${x@u} ${x@L}; y=$'t\ta'; echo "${y@Q}" "${y@E}"; x='a\tb'; echo "${x@E}"

x=5; echo "${x@A}"; declare -ir n=3; echo "${n@a}" "${n@A}"

echo $'tab\there' $'nl\\n' $'\x41\102\u0043' $'it\'s' $'\e[0m' | od -c | head -n 3

echo "a$'b'" $"local" 'a'$'b'"c"

cat <<< word; cat <<< "two words"; x=var; cat <<< "$x $((1+1))"; tr a-z A-Z <<< lower

cat <(echo one) <(echo two); diff <(echo a) <(echo a) && echo same; wc -l < <(printf 'a\nb\n') | tr -d ' '

while read -r x; do echo "<$x>"; done < <(printf 'a\nb\n'); echo $x

echo text > >(cat); wait $!; sleep 0.1

tee >(tr a-z A-Z > up) <<< word > low; sleep 0.2; cat low up

shopt -s extglob; touch a b ab abc; echo @(a|b) ; echo +(a|b); echo !(a|b); echo ?(a)b; echo *(a|b)c

shopt -s extglob; x=aaabbb; echo ${x##+(a)} ${x%%+(b)} ${x//+(a)/-} ${x/@(a|b)/X}

shopt -s nullglob; echo none* end; shopt -u nullglob; echo none*; shopt -s failglob; (echo none*) 2>/dev/null; echo $?

shopt -s dotglob; touch .a b; echo *; shopt -s nocaseglob; touch C; echo c*

shopt -s globstar; mkdir -p d/e; touch d/x d/e/y z; echo **; echo **/y; echo **/

x=$(< /dev/null); echo "[$x]"; echo content > f; x=$(<f); echo "$x"

echo $((2 ** 10)) $((16#ff)) $((2#1010)) $((36#z)) $((0x1F)) $((017)) $((-5 % 3)) $((7 / -2))

((x = 5, y = x * 2)); echo $x $y $((x++ + ++y)) $x $y; ((x--)); echo $x; let z=3*4 'w = z + 1'; echo $z $w

((0)); echo $?; ((1)); echo $?; (( 5 > 3 && 2 < 1 )); echo $?; echo $((1 ? 2 ? 3 : 4 : 5))

for ((i = 0, j = 10; i < j; i += 3, j -= 2)); do echo $i $j; done

x=10; ((x += 5, x *= 2, x -= 3, x /= 2, x %= 7, x <<= 3, x |= 1, x &= 0xff, x ^= 2)); echo $x

echo $((1 << 62)) $((1 << 63)) $((-1 >> 1)) $((~0)) $((!5)) $((-(-3)))

x=3; echo $((x == 3 ? 10 : 20)) $(( x > 2 , x + 1 )); a=b b=4; echo $((a + 1))

echo $((10 / 0)) 2>/dev/null; echo after

unset x; echo "${x:=set}" $x; x=; echo "${x:-def}" "${x-def}" "${x:+alt}" "${x+alt}"

x=1; unset y; echo ${y:-${x:+${x}2}} ${y:-"a b"} "${y:-'q'}" ${y:-'q'}

HOME=/h; echo ~ ~+ | sed 's: .*::'; x=~; echo $x; echo ~/a:~/b; y=a:~/b; echo $y

echo "${x-"nested "quotes""}" "${x-'single'}" "${x-a\ b}"

set -- 'a b' c; echo "${@/ /_}" "${*^}" ${#@} "${1:0:1}" "${@@Q}"

x='$(echo no)'; echo "$x" '`no`' "\$(no)"; y='*'; echo "$y"; z="a  b"; echo $z

IFS=,; x=1,2,,3; set -- $x; echo $#; IFS=$' \t\n'; printf '<%s>' $x; echo

x=abcdef; for ((i = 0; i < ${#x}; i++)); do printf '%s.' "${x:i:1}"; done; echo; i=2; echo ${x:i} ${x:i+1:2} ${x:$i:1}

f() { echo "${FUNCNAME[0]} ${FUNCNAME[1]}"; }; g() { f; }; g; echo "${BASH_SOURCE[0]##*/}" | wc -l

echo $LINENO; echo $LINENO $BASH_SUBSHELL; (echo $BASH_SUBSHELL; (echo $BASH_SUBSHELL))

x=a; x+=b; echo $x; declare -i n=1; n+=2; echo $n; y=1; y+=2; echo $y

echo ${#x} "${#undefined}"; x=日本; LC_ALL=C; echo ${#x}

echo a{1..3}b{x,y}; echo {A..C}{1..2}; echo {3..-3..2}; echo {a..c..2}; echo {{1..3},x}

echo "$(echo "$(echo 'a b')")" `echo \`echo c\``; x=$(printf 'a\0b' 2>/dev/null | tr -d '\0'); echo $x

[[ -v HOME ]] && echo set; unset q; [[ -v q ]] || echo unset; q=; [[ -v q ]] && echo empty but set

x=path/to/file.txt; echo ${x##*/} ${x%/*} ${x##*.} ${x%.*}; y=${x##*/}; echo ${y%.*}

printf '%q\n' 'a b' "it's" '' '$x' $'a\nb' '*'; printf '%s|%5.2f|%-6s|%+d\n' s 3.14159 l 5

printf '%(%Y)T\n' 0; printf '%s %s\n' a b c; printf '%x %X %o %#x %e\n' 255 255 8 255 12345.678

printf '%*d|%-*d|%.*f\n' 5 42 5 42 2 3.14159; printf '%b' 'a\nb\n'; printf '%c%c\n' abc def; printf '\u0041\n'

echo -e 'a\tb\nc\\d'; echo -n no newline; echo; echo -E 'a\tb'; echo -ne 'x\ty\n'; echo -- x; echo -x

LC_ALL=C; x=ÀB; echo ${#x} ; [[ a < b ]] && echo less; [[ B < a ]] && echo bytes

x=" lead trail "; echo "${x# }" "${x% }"; shopt -s extglob; echo "[${x##*( )}]" "[${x%%*( )}]"

x=1234567; while [[ $x =~ ^([0-9]+)([0-9]{3})(.*)$ ]]; do x="${BASH_REMATCH[1]},${BASH_REMATCH[2]}${BASH_REMATCH[3]}"; done; echo $x
