mkdir -p d/e/f; touch d/a.c d/e/b.c d/e/f/c.h; find d | sort; find d -name '*.c' | sort; find d -type d | sort; find d -type f -name 'c*'; find d -maxdepth 1 | sort; find d -mindepth 2 | sort; find d -iname 'A.C'; find d -path '*/e/*' | sort; find d -depth | tail -n 1

mkdir d; printf 12345 > d/a; touch d/b; find d -size +1c | sort; find d -empty | sort; find d -size 0; find d -size -10c -type f | sort; find d -type f ! -name a; find d -type f -a -name a; find d -name a -o -name b | sort; find d \( -name a -o -name b \) -print | sort; find d -not -name a | sort

mkdir d; touch d/a d/b; find d -type f -exec echo {} \; | sort; find d -type f -exec echo {} + | wc -w; find d -name a -delete; ls d; find d -type f -print0 | tr '\0' '\n'; find d -ok echo {} \; < /dev/null 2>/dev/null; find d -name b -quit; find d -prune; find d -name none; echo $?

mkdir d; touch d/a; chmod 640 d/a; find d -perm 640; find d -perm -600 -type f; find d -perm /002; touch -d '2001-01-01' d/o; find d -newer d/o | sort; find d -mtime +100; find d -mmin -5 -type f; ln -s a d/l; find d -type l; find -L d -type f | sort; find d -links 1 | sort; find d -user 0 | wc -l; find d -inum $(stat -c %i d/a); find d -executable | sort

mkdir d; touch d/x; find d -name x -printf '%f\n' 2>/dev/null; find d -name x -execdir echo {} \; 2>/dev/null; find d -regex '.*/x'; find none 2>/dev/null; echo $?; find d -type f -exec false \; ; echo $?; find d -xdev | sort; find d -follow | sort; find d -group 0 | wc -l; find d -samefile d/x; find d -name '[wx]'; find d -name '\x'

echo a b c | xargs; echo a b c | xargs -n 1; printf 'a\0b c\0' | xargs -0 -n 1; echo a b | xargs -I x echo '<x>'; echo a | xargs -t true 2>&1; printf '' | xargs -r echo none; printf '' | xargs echo empty; printf 'a\nb\nEND\nc\n' | xargs -E END; printf 'a b\nc\n' | xargs -L 1 2>/dev/null; echo 1 2 3 | xargs -s 12 -n 2; printf '"a b" c\n' | xargs -n 1

echo 1 2 3 4 | xargs -n 2 echo x; printf 'x\n' > f; xargs -a f echo read 2>/dev/null; echo false | xargs -n1 sh -c 'exit 3' 2>/dev/null; echo $?; seq 6 | xargs -P 3 -n 1 echo | sort; printf "a'b c'd\n" | xargs; printf 'a\\ b\n' | xargs -n 1; echo a | xargs sh -c 'echo $0'; echo | xargs -p true < /dev/null 2>/dev/null; seq 3 | xargs -x -n 3

printf 'a\nb\nc\n' > f; printf 'a\nB\nc\nd\n' > g; diff f g; echo $?; diff -u f g | tail -n +3; diff -q f g; diff -i f g; diff -s f f; diff -b f g > /dev/null; echo $?; diff f f; echo $?; diff -U 0 f g | tail -n +3; diff -L x -L y -u f g; diff -a f g | wc -l

printf 'a  b\n' > f; printf 'a b\n\n' > g; diff -b -B f g; echo $?; diff -w f g; mkdir d e; echo 1 > d/x; echo 2 > e/x; touch d/o; diff -r d e; diff -rN d e; diff -rq d e; diff f none 2>/dev/null; echo $?; diff -t f g; diff -T f g; diff - f < g

printf '1\n2\n3\n' > f; printf '1\ntwo\n3\n' > g; diff -u f g > p; patch f p; cmp f g; patch -R f p; cat f; patch -i p f; cat f; mkdir a; printf '1\n2\n3\n' > a/f; sed 's,^--- f,--- x/a/f,;s,^+++ g,+++ x/a/f,' p | patch -p1; cat a/f; patch --dry-run a/f p 2>/dev/null > /dev/null; cat a/f; printf 'other\n' > h; patch h p > /dev/null 2>&1; echo $?

printf abc > f; printf abd > g; cmp f g; echo $?; cmp -s f g; echo $?; cmp -l f g; cmp f f; echo $?; printf ab > h; cmp f h 2>&1; echo $?; cmp -n 2 f g; echo $?; cmp f g 0 3 2>/dev/null; echo $?; cmp - f < f; echo $?

which sh > /dev/null; echo $?; which none; echo $?; which -a true | head -n 1 | wc -l; type true | head -c 4; echo; ls /bin/sh > /dev/null; echo $?; nohup true 2>/dev/null; echo $?; nice true; echo $?; nice -n 5 nice; nice; time -p true 2>&1 | cut -d' ' -f1; chroot / true; echo $?; env -u HOME printenv HOME; echo $?; env X=1 printenv X; env -i A=b env; printenv none; echo $?
