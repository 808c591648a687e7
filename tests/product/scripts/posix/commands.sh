if true; then echo yes; fi; if false; then echo no; else echo else; fi

if false; then :; elif true; then echo elif; else echo no; fi; if false; then :; fi; echo $?

for i in 1 2 3; do echo $i; done; for i in; do echo no; done; echo $?

set -- x y; for i do echo $i; done

i=0; while [ $i -lt 3 ]; do i=$((i + 1)); echo $i; done; until [ $i -eq 0 ]; do i=$((i - 1)); done; echo $i

for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done

for i in 1 2; do for j in a b; do [ $j = b ] && continue 2; echo $i$j; done; done

while :; do while :; do break 2; done; echo no; done; echo out

case abc in a) echo 1;; a*) echo 2;; *) echo 3;; esac; case x in (a|x) echo paren;; esac

case a.c in *.c|*.h) echo source;; esac; case '*' in \*) echo star;; esac; case x in y) ;; esac; echo $?

x='a b'; case $x in 'a b') echo quoted;; esac; case "" in "") echo empty;; esac

case ab in [a-c]b) echo range;; esac; case - in [a-]) echo dash;; esac; case ] in []]) echo bracket;; esac

f() { echo "f $1"; return 3; echo no; }; f x; echo $?

f() { echo $1; [ $1 -gt 0 ] && f $(($1 - 1)); }; f 3

f() { x=changed; }; x=old; f; echo $x; (x=sub); echo $x

f() (x=inner; echo $x); x=outer; f; echo $x

f() { set -- a b; echo $#; }; set -- 1; f; echo $#

{ echo group; echo two; } | wc -l | tr -d ' '; (echo a; echo b) | tail -n 1

true && echo and || echo or; false && echo and || echo or; ! true; echo $?; ! false; echo $?

false || false || echo third; true && true && echo third

! false && echo negated; if ! false; then echo also; fi

echo a; echo b & wait; echo c

true | false; echo $?; false | true; echo $?; ! true | false; echo $?

echo one | { read x; echo "got $x"; }; echo "a b c" | while read x y; do echo "$y $x"; done

printf '1\n2\n3\n' | while read x; do echo $((x * 2)); done

x=1; echo | x=2; echo $x

(exit 7); echo $?; sh -c 'exit 9'; echo $?; x=$(sh -c 'kill -9 $$' 2>&1); echo $?

sh -c 'exit 256'; echo $?; sh -c 'exit 255'; echo $?

no_such_command 2>/dev/null; echo $?; ./no/such/file 2>/dev/null; echo $?; . ./none 2>/dev/null; echo no

touch plain; ./plain 2>/dev/null; echo $?; mkdir dir; ./dir 2>/dev/null; echo $?

command echo direct; command -v echo; command -v no_such; echo $?; type no_such >/dev/null 2>&1; [ $? -ne 0 ] && echo missing

echo() { printf 'mine\n'; }; echo x; command echo x

f() { :; }; command -v f; alias zz='echo aliased'; unalias zz; command -v zz; echo $?

eval 'x=1; y=2'; echo $x $y; eval; echo $?; eval false; echo $?

echo 'x=sourced; return 4; x=no' > s; . ./s; echo $? $x

echo 'echo "$#:$1"' > s; set -- p q; . ./s

set -e; false || true; if false; then :; fi; ! true; echo survived

(set -e; false; echo no); echo $?

(set -e; f() { false; echo inside; }; f || echo handled; echo after); echo $?

(set -e; true && false; echo goes on); echo $?

(set -e; (exit 3); echo no); echo $?

(set -e; x=$(false); echo no); echo $?

(set -e; echo $(false) shown); echo $?

(set -e; while false; do :; done; until true; do :; done; echo fine); echo $?

(set -e; false | true; echo pipe; true | false; echo no); echo $?

(set -e; trap 'echo exit $?' EXIT; false); echo $?

set -u; (echo "${x-fine}"); (: $x) 2>/dev/null; [ $? -ne 0 ] && echo failed

(set -n; echo no); echo n

set -x; echo traced 2>/dev/null; set +x 2>/dev/null

set -- -a b; while getopts ab: o -a -b val -- rest; do echo "$o ${OPTARG-}"; done; echo $OPTIND

while getopts :x: o -x 2>/dev/null; do echo "$o $OPTARG"; done; OPTIND=1; while getopts :y o -z; do echo "$o $OPTARG"; done

OPTIND=1; while getopts abc: o -ab -cfile arg; do echo "$o${OPTARG:+=$OPTARG}"; done; echo $OPTIND

[ a = a ] && echo eq; [ a != b ] && echo ne; [ -z "" ] && echo z; [ -n x ] && echo n; [ x ] && echo true; [ "" ] || echo empty

[ 1 -lt 2 ] && [ 2 -gt 1 ] && [ 1 -le 1 ] && [ 1 -ge 1 ] && [ 1 -eq 01 ] && [ 1 -ne 2 ] && echo numbers

touch f; mkdir d; ln -s f l; [ -e f ] && [ -f f ] && [ -d d ] && [ -h l ] && [ -L l ] && [ ! -s f ] && [ -r f ] && [ -w f ] && echo files

mkfifo p; [ -p p ] && echo fifo; [ -c /dev/null ] && echo device; [ -t 0 ] || echo no terminal; chmod +x p; [ -x p ] && echo x

[ ! a = b ] && echo not; [ a = a -a b = b ] && echo and; [ a = b -o b = b ] && echo or; [ \( a = a \) ] && echo paren

test 1 -eq a 2>/dev/null; echo $?; [ 2>/dev/null; echo $?

printf '%s-%d-%x-%o-%c\n' str 42 255 8 char; printf '%5s|%-5s|%05d\n' a b 3

printf '%s\n' a b c; printf '%s %s\n' 1 2 3; printf 'plain\n'; printf '%%\n'; printf '%b\n' 'a\tb\n'

printf '\101\x0a\n' | head -c 1; echo; printf '%.2s|%.1f\n' abc 2.55

printf '%d\n' 0x10 010 "'A"; printf '%i\n' -3; printf '%u\n' 3

cd /; pwd; cd /tmp; pwd; cd - >/dev/null; pwd

mkdir -p a/b; cd a/b; cd ..; basename "$PWD"; cd ./b/../b; basename "$PWD"

cd /no/such 2>/dev/null; echo $?; (cd /; pwd); [ "$(pwd)" != / ] && echo kept

umask 027; umask; touch f; ls -l f | cut -c1-10; umask 22; umask

read x < /dev/null; echo $? "[$x]"; echo 'a\b' | { read x; echo "$x"; }; echo 'a\b' | { read -r x; echo "$x"; }

echo 'one two three' | { read a b; echo "$a|$b"; }; echo '  lead  trail  ' | { read x; echo "<$x>"; }

printf 'no newline' | { read x; echo $? "$x"; }; printf 'a\\\nb\n' | { read x; echo "$x"; }

echo a:b:c | { IFS=: read x y z; echo "$z$y$x"; }; echo ':b' | { IFS=: read x y; echo "[$x][$y]"; }

true > f; echo $?; : ${x:=default}; echo $x; : "a b"; echo $?

times > /dev/null; echo $?; hash -r; echo $?; ulimit > /dev/null; echo $?

exec 3>f; echo three >&3; exec 3>&-; cat f; (exec echo replaced; echo no)

sh -c 'echo $0 $1 $2' name a b; sh -c 'echo $#' x; echo 'echo $0 $#' | sh -s a b | wc -w | tr -d ' '

echo 'echo script "$@"' > s; chmod +x s; sh ./s a 'b c'

printf '#!/bin/sh\necho "$1" "$#"\n' > s; chmod +x s; ./s arg more

x=1; while [ $x -lt 1000 ]; do x=$((x + 1)); done; echo $x

a=; for i in 1 2 3 4 5; do a="$a$i"; done; echo $a; echo $a | sed 's/3/-/'

f() { echo $(($1 * $2)); }; echo $(f 3 4) $(f $(f 2 2) 5)

f() { while [ $# -gt 0 ]; do case $1 in -v) echo verbose;; --*=*) echo "${1%%=*} ${1#*=}";; *) echo "arg $1";; esac; shift; done; }; f -v --name=value rest

fact() { [ $1 -le 1 ] && echo 1 || echo $(($1 * $(fact $(($1 - 1))))); }; fact 10

fib() { if [ $1 -lt 2 ]; then echo $1; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }; fib 8

yes | head -n 3; seq 10 | sed -n '2p;$p' | tr '\n' ' '; echo

echo b a c | tr ' ' '\n' | sort | uniq -c | tr -s ' '; seq 5 | awk '{ s += $1 } END { print s }'

echo start; { echo in; exit 5; echo no; }; echo no

for i in a b c; do echo $i; done | { read x; echo "first $x"; cat > /dev/null; }

return 2>/dev/null; echo "$(return 2>/dev/null; echo sub)" | tail -n 1
