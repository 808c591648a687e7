[[ abc == a* ]] && echo glob; [[ abc == "a*" ]] || echo literal; [[ a != b ]] && echo ne; [[ ! a == b ]] && echo not

[[ abc =~ ^a(.)c$ ]] && echo "${BASH_REMATCH[0]} ${BASH_REMATCH[1]}"; [[ x =~ y ]] || echo no; r='b+'; [[ abbb =~ $r ]] && echo ${BASH_REMATCH[0]}

[[ -n a && -z "" ]] && echo both; [[ -n "" || 1 -eq 1 ]] && echo either; [[ (a == a) && ! (b == c) ]] && echo paren

[[ 10 -gt 9 ]] && echo numeric; [[ 10 > 9 ]] || echo lexical; [[ 2+3 -eq 5 ]] && echo arithmetic

x='a b'; [[ $x == 'a b' ]] && echo unsplit; [[ $x ]] && echo full; [[ $nothing ]] || echo empty

touch f; [[ -f f && ! -d f ]] && echo file; sleep 0.01; touch g; [[ g -nt f ]] && echo newer; ln f h; [[ f -ef h ]] && echo linked

shopt -s nocasematch; [[ ABC == abc ]] && echo same; case X in x) echo case;; esac

case abc in a*) echo 1;& b*) echo 2;; c*) echo 3;; esac; case abc in a*) echo 1;;& *c) echo 2;; *) echo 3;; esac

select x in a b; do echo "$x"; break; done <<< 2 2>/dev/null

function f { echo "function $1"; }; f x; function g() { echo g; }; g; f() { echo again; }; f

f() { local x=in; g; echo $x; }; g() { x=dynamic; }; x=out; f; echo $x

f() { local x; echo "[${x-unset}]"; local y=1 z=2; echo $y$z; }; x=out; f; echo "[${y-gone}]"

f() { return $1; }; f 0 && echo ok; f 5; echo $?; f 300; echo $?

f() { echo $#; shift; echo "$@"; }; f a 'b c' d; declare -f f | head -n 1; declare -F | wc -l | tr -d ' '

f() { if (($1 > 0)); then echo -n "$1 "; f $(($1 - 1)); else echo; fi; }; f 30

outer() { inner() { echo inner; }; }; outer; inner; unset -f inner; inner 2>/dev/null; echo $?

{ time -p true; } 2>/dev/null; { time true; } 2>&1 | grep -c real; TIMEFORMAT=%0R; { time true; } 2>&1

coproc cat; echo through >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo $x; kill $COPROC_PID; wait $COPROC_PID 2>/dev/null; echo end

shopt -s expand_aliases
alias hi='echo hello'
hi there; unalias hi; alias x='y'; alias x

set -o pipefail; true | false | true; echo $?; set +o pipefail; true | false | true; echo $?

set -e; f() { false; echo not; }; if f; then echo inside if; fi; f || true; echo done; f; echo unreachable

set -eE; trap 'echo ERR $?' ERR; (exit 3); echo no

trap 'echo ERR $?' ERR; false; (exit 2); true; ! false; if false; then :; fi; false || true; echo end

trap 'echo DEBUG $BASH_COMMAND' DEBUG; x=1; echo $x; trap - DEBUG; echo quiet

f() { trap 'echo RETURN' RETURN; echo body; }; f; echo out; trap - RETURN; f2() { echo plain; }; f2

trap 'echo exit $?' EXIT; trap -p EXIT; f() { exit 7; }; f

trap 'echo int' INT; trap; kill -INT $$; trap -- '' INT; trap -p INT; trap - INT; trap

set -u; (echo $undefined) 2>/dev/null; echo $?; echo ${undefined-ok}; a=(); echo "${a[@]}" end

set -x; echo traced; { set +x; } 2>/dev/null; echo quiet

PS4='> '; set -x; x=1; [[ $x == 1 ]]; ((x++)); for i in a; do echo $i; done; case a in a) :;; esac

set -v; echo verbose; set +v; echo $-| tr -d hBvxsc; shopt -o pipefail; set -o | grep errexit

set -- -n x; echo "$@"; set - a b; echo $#; set -- ; echo $#; set a b c; shift 5; echo $? $#

getopts ab: o -b val; echo $o $OPTARG; OPTIND=1; getopts a o -z; echo $? $o

read -r a b <<< 'x y z'; echo "$b"; read -p prompt x <<< in; echo $x; read -n 3 x <<< abcdef; echo $x; read -d : x <<< a:b; echo $x

read -t 0.1 x < <(sleep 1); echo $(($? > 128)); read -t 1 x <<< now; echo $x; read -N 4 x <<< $'a\nbcd'; echo "$x"

read x y <<< '  a   b  '; echo "[$x][$y]"; IFS= read -r x <<< '  kept  '; echo "[$x]"; read -r <<< ' reply '; echo "[$REPLY]"

read -a w -r <<< 'a\b c'; echo "${w[0]}" ${#w[@]}; IFS=, read a b c <<< 1,2,; echo "$a$b[$c]"; read -u 3 x 3<<< three; echo $x

echo abc | { read -rsn1 x; echo $x; }; printf 'a b\nc d\n' | while read -r x y; do echo $y; done; echo ${x-none}

shopt -s lastpipe; set +m; echo piped | read x; echo $x; printf '1\n2\n' | while read y; do z=$y; done; echo $z

exec {fd}>f; echo to fd >&$fd; exec {fd}>&-; cat f; [ $fd -ge 10 ] && echo high; exec 3<> f; read x <&3; echo $x

echo both &> f; ls none &>> f; wc -l < f | tr -d ' '; echo e |& cat; { echo o; echo e >&2; } |& sort

echo a > f; echo b >> f; mapfile -t l < f; echo "${l[*]}"; cat f - <<< in; cat <<E1 - <<< x
E1

exec 3>&1; x=$(echo captured; echo shown >&3); echo "got $x"; { echo err >&2; } 2>&1 | cat; echo moved 3>&1 1>&3-

f() { cat <<- E
	indented $1
	E
}; f arg; cat << 'a b'
delimiter with a space
a b

pushd /tmp > /dev/null; dirs -v | wc -l | tr -d ' '; popd > /dev/null; cd /; pushd /dev; pushd /tmp; dirs; popd; popd

type -t echo if cat f; f() { :; }; type -t f; type f | head -n 2; command -V if; builtin echo builtin; enable -n echo; type -t echo; enable echo

hash -r; hash cat; hash -t cat | grep -c cat; command -v cat | grep -c cat; enable | grep -c 'enable read'

printf '%s\n' "$BASH_VERSION" | grep -c '^5'; echo ${BASH##*/} | grep -c bash; echo $SHLVL | grep -c '[0-9]'; [[ $RANDOM != $RANDOM$RANDOM ]] && echo random

echo $SECONDS; [[ $EPOCHSECONDS -gt 1000000000 ]] && echo epoch; [[ $EPOCHREALTIME == *.* ]] && echo real; RANDOM=1; x=$RANDOM; RANDOM=1; [[ $x == $RANDOM ]] && echo seeded

echo $UID $EUID ${GROUPS[0]}; [[ $$ == $BASHPID ]] && echo main; ([[ $$ != $BASHPID ]] && echo sub); [[ $PPID -gt 0 ]] && echo parent

let x=1 y=x+1; echo $y; ((x++)) && echo was one; ((x > 5)) || echo small; if ((x == 2)); then echo two; fi

i=0; while ((i++ < 3)); do echo $i; done; until ((--i <= 0)); do :; done; echo $i; for i in {1..3}; do ((i == 2)) && continue; echo $i; done

{ echo a; } && { echo b; } || echo c; ! { false; } && echo neg; (exit 1) || { echo failed $?; }

eval 'for i in 1 2; do echo $i; done'; x='echo "a  b"'; eval "$x"; $x; eval eval echo deep

source /dev/stdin <<< 'echo sourced "$@"'; . /dev/stdin arg <<< 'echo $1'; echo 'return 3; echo no' > s; source ./s; echo $?

bash -c 'echo $0 $1' zero one; bash -c 'exit 4'; echo $?; echo 'echo stdin $1' | bash -s arg; bash <<< 'echo here'

bash -e -c 'false; echo no'; echo $?; bash -u -c 'echo $x' 2>/dev/null; echo $?; bash -n -c 'echo no'; bash -o posix -c 'echo posix'

bash --norc -c 'shopt -p extglob'; bash -O extglob -c 'shopt -q extglob; echo $?'; bash --version | head -n 1 | cut -c1-17; bash -c 'caller'; echo $?

echo 'syntax (' > s; bash s 2>/dev/null; echo $?; bash -c 'if' 2>/dev/null; echo $?; bash -c 'echo "unclosed' 2>/dev/null; echo $?

x() { caller 0 | cut -d' ' -f1,2; }; x; y() { x; }; y; echo ${#FUNCNAME[@]}; z() { echo ${#FUNCNAME[@]} ${BASH_LINENO[0]}; }; z

compgen -A builtin | grep -c -x -e read -e printf; compgen -W 'apple banana' a; complete -W 'x y' cmd; complete -p cmd

history | wc -l | tr -d ' '; set -o history; umask -S; umask 077; umask -p; ulimit -c 0; ulimit -c

test -v HOME && echo v; test a '<' b && echo lt; [ -o errexit ] || echo off; set -e; [ -o errexit ] && echo on; [ a == a ] && echo double

local 2>/dev/null; echo $?; return 2>/dev/null; echo "after return"; break 2>/dev/null; echo $?; shift 2>/dev/null; echo $?

declare x=1 -x y=2; export -p | grep -c ' y='; export -n y; export -p | grep -c ' y='; declare -x z=3; bash -c 'echo $z'; readonly q=1; readonly -p | grep -c ' q='

f() { declare -g global=1; declare loc=2; }; f; echo $global "[${loc-}]"; export -f f; bash -c 'f; echo $global'

declare -n r=target; r=5; echo $target; target=6; echo $r; echo ${!r}; unset -n r; echo ${r-gone}

wait -n 2>/dev/null; (exit 3) & wait -n; echo $?; (exit 1) & (exit 1) & wait; echo $?; sleep 0.01 & wait -p id $!; [[ $id == $! ]] && echo id

printf 'a\nb\n' | while IFS= read -r l; do printf '[%s]' "$l"; done; echo; printf '%s\0' a 'b c' | xargs -0 -n 1 echo

cat <<E | bash
x=1
echo "inner \$x $((1+1))"
E

while getopts 'ab:c' o -a -b val -c rest; do case $o in b) echo "b=$OPTARG";; *) echo $o;; esac; done; shift $((OPTIND - 1)) 2>/dev/null; echo $OPTIND

: > f; for i in {1..100}; do echo $i; done >> f; wc -l < f | tr -d ' '; x=0; while read n; do ((x += n)); done < f; echo $x

s=; for w in the quick brown fox; do s="${w} $s"; done; echo $s; rev <<< abc; x=level; y=$(rev <<< $x); [[ $x == $y ]] && echo palindrome

declare -A count; for w in a b a c a; do ((count[$w]++)); done; for k in a b c; do echo $k ${count[$k]}; done

primes=(); for ((n = 2; n < 30; n++)); do p=1; for q in "${primes[@]}"; do ((n % q == 0)) && { p=0; break; }; done; ((p)) && primes+=($n); done; echo ${primes[@]}

gcd() { (($2 == 0)) && echo $1 || gcd $2 $(($1 % $2)); }; gcd 48 36; pow() { local r=1 i; for ((i = 0; i < $2; i++)); do ((r *= $1)); done; echo $r; }; pow 3 7

hanoi() { (($1 == 0)) && return; hanoi $(($1 - 1)) $2 $4 $3; ((moves++)); hanoi $(($1 - 1)) $4 $3 $2; }; moves=0; hanoi 6 a b c; echo $moves

trap 'rm -f tmp; echo cleaned' EXIT; touch tmp; [ -e tmp ] && echo made; false; exit 0

main() { local opt; for opt; do case $opt in --*=*) echo "${opt%%=*} -> ${opt#*=}";; -*) echo "flag ${opt#-}";; *) echo "word $opt";; esac; done; }; main -v --a=1 file
