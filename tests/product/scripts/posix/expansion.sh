x=hello; echo $x "${x}" '${x}' "$x"world ${x}world

unset x; echo "[${x-unset}]" "[${x:-empty}]"; x=; echo "[${x-unset}]" "[${x:-empty}]"

unset x; echo "[${x=given}]" "[$x]"; x=; echo "[${x:=again}]" "[$x]"

x=; echo "[${x+set}]" "[${x:+full}]"; x=1; echo "[${x+set}]" "[${x:+full}]"; unset x; echo "[${x+set}]"

x=path/to/file.tar.gz; echo "${x#*/}" "${x##*/}" "${x%.*}" "${x%%.*}"

x='a*b'; echo "${x#a\*}" "${x#'a*'}" "${x%"*b"}"

x=abc; echo ${#x} ${#}; set -- 1 2 3; echo ${#} ${#1} $#

x=aXbXc; echo "${x#*X}" "${x##*X}" "${x%X*}" "${x%%X*}"

set -- a 'b c' d; for i in "$@"; do echo "<$i>"; done; for i in $*; do echo "[$i]"; done

set -- a 'b c' d; IFS=-; echo "$*"; IFS=; echo "$*"; unset IFS; echo "$*"

set -- a b; echo "x$@y"; echo "x$*y"

set --; for i in "$@"; do echo no; done; echo "[$*]" "[$@]"

set -- 1 2 3 4 5 6 7 8 9 ten eleven; echo $10 ${10} ${11}

set -- a b c; shift; echo "$@"; shift 2; echo "$#"

x='one  two   three'; echo $x; echo "$x"

IFS=:; x=a:b::c; set -- $x; echo $#; for i; do echo "<$i>"; done

IFS=' :'; x=' a : b :: c '; set -- $x; echo $#; for i; do echo "<$i>"; done

IFS=; x='a b'; set -- $x; echo $#

echo $(echo one; echo two) "$(echo one; echo two)"

echo "$(printf 'a\n\n\n')b"

echo `echo back\`echo nested\`` "`echo \"quoted\"`"

echo "$(echo "$(echo "deep $(echo er)")")"

x=$(exit 3); echo $?; x=1 true; echo $?

echo $((1 + 2 * 3)) $(( (1 + 2) * 3 )) $((7 / 2)) $((7 % 3)) $((-7 / 2)) $((-7 % 3))

x=5; echo $((x + 1)) $(($x * 2)) $((x << 2)) $((x >> 1)) $((x & 4)) $((x | 2)) $((x ^ 1)) $((~x))

x=3; echo $((x > 2)) $((x == 3)) $((x != 3)) $((x <= 2)) $((!x)) $((x && 0)) $((x || 0))

x=1; echo $((x += 4)) $x $((x -= 2)) $x $((x *= 5)) $x

echo $((0x1f)) $((010)) $((1 ? 2 : 3)) $((0 ? 2 : 3))

echo $((9223372036854775807)) $((9223372036854775807 + 1))

x=' 12 '; echo $((x + 1))

echo ~ | grep -c '^/'; HOME=/here; echo ~ ~/x "~" '~' a~

x=~/y; echo "$x" | grep -c '^/'; HOME=/h; x=~:~/b; echo $x

touch a1 a2 b1 .hidden; echo *; echo a*; echo ?1; echo [ab]1; echo [!a]*; echo .h*

touch a b; echo "*" '*' \*; x='*'; echo "$x" $x

echo nothing* 'no'thing?

mkdir -p d/e d/f; touch d/e/x d/f/y; echo d/*; echo d/*/*; echo */e/x

touch 'a b' c; for i in *; do echo "<$i>"; done

touch a-b a]b; echo a[]-]b

touch a1 aB ac; echo a[[:digit:]] a[[:upper:]] a[[:lower:]]

set -f; touch a; echo *; set +f; echo *

x=a; eval y=\$$x; a=value; eval echo \$$x

x='$y'; y=z; echo $x; eval echo $x

x=abc; x=${x}def; x=$x$x; echo $x

x=1 y=2; echo $x$y; x=3 y=$x; echo $y

unset x; echo "${x:-${y:-deep}}" "${x:-$(echo command)}" "${x:-"a b"}"

unset x; (echo "${x?is missing}"; echo not reached); echo $?

x=; (echo "${x:?}" ; echo not reached) 2>/dev/null; echo $?

echo a"b"'c'\d "a'b" 'a"b' "a\"b" "a\\b" "a\$b" "a\`b"

echo "a\nb" | wc -l | tr -d ' '; printf '%s\n' 'a\nb'

echo one\
two; echo 'one\
two' | wc -l | tr -d ' '

x='a
b'; echo "$x"; echo $x

echo "$@" $# "$0" | wc -w | tr -d ' '

f() { echo $# "$1"; }; f ""; f '' ''; f $nothing; f "$nothing"

x=; f() { echo $#; }; f $x; f "$x"; f $x$x a; f ""$x

false; echo $?; true; echo $?; (exit 42); echo $?

echo $- | grep -c i; set -u; (echo $nothing) 2>/dev/null; echo $?

x=abcabc; echo "${x#a?}" "${x%?}" "${x%%b*}" "${x##*a}" "${x#[ab]}"

x='a/b'; y='*'; echo ${x##$y/}; echo "${x##"$y"/}"

readonly r=1; (r=2) 2>/dev/null; echo $? $r

export E=exported; sh -c 'echo $E'; F=once sh -c 'echo $F'; echo "[$F]"

unset -v x; x=1; unset x; echo "${x-gone}"; f() { :; }; unset -f f; f 2>/dev/null; echo $?

echo {a,b} a{b c}d | tr -d '{}' | wc -w | tr -d ' '

set -- "a b" c; for i in "$1" "$2"; do set -- $i; echo $#; done

echo "${#}" "$#" "${?}" "$?"

x=12345; echo "${x%"${x#??}"}" "${x#"${x%??}"}"

a=1; b=a; eval "echo \${$b}"; eval "c=\$$b"; echo $c
