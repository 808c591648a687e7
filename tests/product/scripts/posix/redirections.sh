echo out > f; cat f; echo more >> f; cat f; : > f; wc -c < f | tr -d ' '

echo err >&2; echo both 2>&1; (echo o; echo e >&2) 2>/dev/null; (echo o; echo e >&2) >/dev/null

(echo o; echo e >&2) > f 2>&1; cat f; (echo o; echo e >&2) 2>&1 > f | cat; cat f

cat < /dev/null; echo $?; cat < none 2>/dev/null; echo $?

cat <<E
plain $((1 + 1)) $(echo command)
E

x=var; cat <<'E'
no $x `expansion` \\
E

x=var; cat <<E
$x "${x}" '$x' \$x \\ \`
E

cat <<-E
	tabs
		stripped
	E

cat <<A; cat <<B
first
A
second
B

cat <<E | tr a-z A-Z
piped
E

while read x; do echo "<$x>"; done <<E
one
two  three
E

f() { cat; }; f <<E
into a function
E

cat <<E && echo after
body
E

if read x; then echo "$x"; fi <<E
condition
E

x=$(cat <<E
in a substitution
E
); echo "$x"

cat <<E
${x:-default "quoted"} ${x:+no}
E

cat <<"E"
\n stays $here
E

exec 3<<E
kept open
E
cat <&3; exec 3<&-

exec 3>f 4>g; echo a >&3; echo b >&4; exec 3>&- 4>&-; cat f g

echo a > f; exec 3<f; read x <&3; echo $x; exec 3<&-; { read x <&3; } 2>/dev/null; echo $?

printf '1\n2\n3\n' > f; exec 3<f; read a <&3; read b <&3; echo $a $b; cat <&3

{ echo a; echo b >&2; } 2>err; cat err

for i in 1 2; do echo $i; done > f; cat f; while read x; do echo "r$x"; done < f

(cd /; echo sub) > f; cat f; if true; then echo cond; fi > f; cat f

case x in x) echo case;; esac > f; cat f; { :; } > g; wc -c < g | tr -d ' '

echo a >f; echo b >f 2>&1; cat f; > h; [ -f h ] && echo made

set -C; echo a > f; (echo b > f) 2>/dev/null; echo $?; echo c >| f; cat f

echo a 1>f; cat 0<f; echo x 3>g; cat g | wc -c | tr -d ' '

echo rw > f; exec 3<>f; read x <&3; echo new >&3; exec 3>&-; cat f

echo hidden >&- 2>/dev/null; (exec >&-; echo x) 2>/dev/null; echo done

ls none > f 2>&1; [ -s f ] && echo said; ls none 2> f; [ -s f ] && echo said

x=name; echo to > "$x"; cat name; echo spaced > "a b"; cat 'a b'

echo a | cat - /dev/null; echo a | (cat; echo b) | (cat; echo c)

(echo a; echo b; echo c) | (read x; read y; echo $y $x)

exec 5>&1; echo saved >&5; x=$(echo swallowed >&5; echo kept); echo "$x"; exec 5>&-

f() { echo out; echo err >&2; }; x=$(f 2>/dev/null); echo $x; x=$(f 2>&1 >/dev/null); echo $x

{ { echo o; echo e >&2; } 3>&1 1>&2 2>&3 | sed 's/^/piped /'; } 2>/dev/null

echo a > f && cat < f > g && cat g; cat f g | sort | uniq | wc -l | tr -d ' '

sed 's/a/b/' <<E > f
a
E
cat f

dd if=/dev/zero bs=1024 count=200 2>/dev/null | wc -c | tr -d ' '; head -c 100000 /dev/zero | tail -c 10 | wc -c | tr -d ' '

yes 0123456789 | head -n 20000 | cat | cat | wc -c | tr -d ' '

echo x | tee f | cat; cat f; echo y | tee -a f > /dev/null; cat f

cat > f <<E; cat f
to a file
E

cat <<E1 <<E2
lost
E1
kept
E2

f() { echo in f; } > f.out; f; cat f.out

exec > f; echo hidden; exec >&2; cat f >&2

echo ok > none/f 2>/dev/null; echo $?; (: > none/f) 2>/dev/null; echo $?
