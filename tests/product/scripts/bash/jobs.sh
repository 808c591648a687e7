sleep 0.1 & jobs | tr -s ' ' | cut -d' ' -f1,2; wait; jobs | wc -l | tr -d ' '

sleep 10 & sleep 10 & jobs -p | wc -l | tr -d ' '; kill %1 %2; wait 2>/dev/null; echo end

sleep 10 & kill -STOP $!; sleep 0.1; kill -CONT $!; kill $!; wait $! 2>/dev/null; echo $?

set -m; sleep 0.05 & wait %1; echo $?; (exit 5) & wait %%; echo $?

exec 2>/dev/null; set -m; sleep 10 & kill -STOP %1; sleep 0.2; jobs | grep -c Stopped; kill -KILL %1; wait; echo end

set -m; sh -c 'kill -STOP $$; echo resumed'; echo $?; fg > /dev/null; echo $?

set -m; sh -c 'kill -STOP $$; echo woken'; bg > /dev/null 2>&1; wait; echo end

set -m; { sleep 0.05; exit 3; } & fg %1 > /dev/null; echo $?

set -m; echo piped | cat | cat & wait; sleep 0.01 | sleep 0.01 & wait $!; echo $?

sleep 10 & disown; jobs | wc -l | tr -d ' '; kill $!; sleep 10 & disown -h %1; kill $!; wait $! 2>/dev/null; echo $?

trap 'echo chld' CHLD; true & wait; sleep 0.01 & wait; trap - CHLD; echo end

for i in 3 1 2; do (sleep 0.$i; echo $i) & done; wait; echo all

for i in 1 2 3 4 5 6 7 8; do (exit $i) & p[$i]=$!; done; for i in 1 2 3 4 5 6 7 8; do wait ${p[$i]}; echo -n "$? "; done; echo

(trap 'echo sub term; exit 2' TERM; sleep 0.3 & wait) & sleep 0.1; kill $!; wait $!; echo $?

{ sleep 0.05; echo late; } & echo early; wait; echo done

x=$(sleep 0.05; echo sub) ; echo $x; y=$( (echo a; sleep 0.01; echo b) | cat); echo $y

coproc P { while read -r l; do echo "<$l>"; done; }; echo a >&${P[1]}; read -r x <&${P[0]}; echo "$x"; exec {P[1]}>&-; wait $P_PID; echo $?

sleep 5 & p=$!; (sleep 0.05; kill $p) & wait $p 2>/dev/null; echo $?; wait

trap 'echo got USR1' USR1; (sleep 0.05; kill -USR1 $$) & wait; wait; echo end

f() { echo in $1; sleep 0.0$1; }; { f 1 & f 2 & wait; } | sort; wait

set -m; sleep 5 & sleep 0.1; kill -INT -- -$!; wait $! 2>/dev/null; echo $?

set +m; (sh -c 'kill -TERM $PPID'; sleep 0.1; echo unreachable) 2>/dev/null; echo $?

timeout 0.1 bash -c 'trap "echo term; exit 3" TERM; sleep 1 & wait'; echo $?

for i in {1..30}; do : & done; wait; echo thirty; for i in {1..30}; do x=$(echo $i); done; echo $x

seq 5 | while read x; do (echo $x) & wait $!; done; printf '%s\n' c a b | sort | { read x; echo $x; cat; }

kill -l | head -n 1 | cut -c1-10; kill -l 9 15; kill -l SIGHUP INT; kill -s WINCH $$; echo alive

suspend 2>/dev/null; echo $?; fg 2>/dev/null; echo $?; bg 2>/dev/null; echo $?; jobs %9 2>/dev/null; echo $?; kill %9 2>/dev/null; echo $?

(exit 0) && (exit 1) || (exit 2); echo $?; { (exit 4); } ; echo $?; ( { exit 6; } ); echo $?
