trap 'echo bye' EXIT; echo hello

trap 'echo bye $?' EXIT; exit 3

(trap 'echo sub' EXIT; echo in); echo out

trap 'echo caught' USR1; kill -USR1 $$; echo after

trap 'echo term' TERM; kill $$; kill -TERM $$; trap - TERM; echo still

trap '' TERM; kill $$; echo ignored; sh -c 'kill $$; echo inherited'

trap 'echo one' USR1; trap 'echo two' USR2; kill -USR2 $$; kill -USR1 $$; kill -s USR1 $$

trap 'exit 4' INT; kill -INT $$; echo no

trap 'echo a' EXIT; trap 'echo b' EXIT; trap - EXIT; trap 'echo c' EXIT

sh -c 'trap "echo trapped; exit 5" TERM; kill $$; echo no'; echo $?

exec 2>/dev/null; sh -c 'kill -TERM $$'; echo $?; sh -c 'kill -KILL $$'; echo $?; sh -c 'kill -HUP $$'; echo $?

sleep 100 & kill $!; wait $! 2>/dev/null; echo $?; sleep 100 & kill -9 $!; wait $! 2>/dev/null; echo $?

(exit 3) & wait $!; echo $?; (exit 4) & (exit 5) & wait; echo $?

(exit 6) & p=$!; true; wait $p; echo $?; wait $p 2>/dev/null; echo waited

wait 99999 2>/dev/null; echo $?; wait; echo $?

{ echo background; } & wait; (echo sub) & wait

sh -c 'echo $PPID' | grep -c '^[0-9][0-9]*$'; [ "$$" = "$(echo $$)" ] && echo same

x=$(sh -c 'echo $$'); [ "$x" != "$$" ] && echo other; (sh -c 'echo $PPID') > f; [ -s f ] && echo some

kill -0 $$; echo $?; kill -0 99999 2>/dev/null; [ $? -ne 0 ] && echo none

kill -l 9; kill -l 15; kill -l 143; kill -l TERM 2>/dev/null || :

trap 'echo chld' USR1; (kill -USR1 $$) ; wait; echo end

trap 'x=set' USR1; kill -USR1 $$; echo $x; f() { echo fn; }; trap f USR2; kill -USR2 $$

trap 'echo in loop; done=1' USR1; (sleep 0.1; kill -USR1 $$) & done=; while [ -z "$done" ]; do sleep 0.05; done; wait; echo end

trap 'echo interrupted' USR1; (sleep 0.1; kill -USR1 $$) & sleep 5 & p=$!; wait $p; echo $(($? > 128)); kill $p; wait 2>/dev/null; echo end

x=1; (x=2; echo $x); echo $x; { x=3; }; echo $x

(cd /; pwd; (cd /tmp; pwd); pwd)

echo $(trap 'echo traps' EXIT; echo body)

sh -c 'exit 1' && echo no || echo failed; sh -c '(exit 2)'; echo $?

i=0; while [ $i -lt 20 ]; do (exit $i); [ $? = $i ] || echo wrong; i=$((i + 1)); done; echo counted

for i in 1 2 3 4 5; do (echo $i) & done | sort; wait

a | b 2>/dev/null; echo ok; true | true | true | false; echo $?

yes | head -n 1; echo $?; (yes; echo $? >&2) 2>/dev/null | head -n 1

cat /dev/zero | head -c 5 | wc -c | tr -d ' '

sh -c 'sleep 0.05; echo late' & echo early; wait

exec 3>f; (echo child >&3); echo parent >&3; cat f

f() { echo $1; f2() { echo nested $1; }; f2 x; }; f a; f2 b

sh -c 'trap "" PIPE; yes 2>/dev/null; echo $? >&2' 2>&1 | head -n 1

(trap 'echo exit trap' EXIT; trap 'echo term trap; exit 9' TERM; sh -c 'kill $PPID' ; sleep 0.2; echo after) ; echo $?

set -e; trap 'echo trapped $?' EXIT; (exit 2); echo no

timeout 0.1 sleep 5; echo $?; sh -c 'sleep 5 & kill $!; wait $!; echo $?' 2>/dev/null

env X=1 sh -c 'echo $X'; env -i /bin/sh -c 'echo "[$HOME]"'

sh -c 'exec sh -c "echo \$0 \$1" zero one'; exec sh -c 'echo last'; echo no

x=$(sleep 0.05 & echo quick); echo $x; wait

echo 'kill -USR1 $1' > k; trap 'echo from script' USR1; sh k $$; echo end

seq 300 | xargs -n 50 sh -c 'echo $#' x; seq 3 | xargs -I{} echo "<{}>"

find . -name none; touch a b; find . -type f | sort; find . -name a -exec sh -c 'echo "$1"' x {} ';'
