printf 'one\ntwo\nThree\nfour five\n' > f; grep o f; grep -i T f; grep -v o f; grep -c o f; grep -n o f; grep -x two f; grep -w five f; grep -w fiv f; echo $?

printf 'a1\nb22\nc\n' > f; grep -o '[0-9]*' f; grep -E '[0-9]{2}|c' f; grep -F . f; echo $?; grep -e a -e c f; printf 'a\nc\n' > p; grep -f p f; grep -q b f; echo $?; grep -q z f; echo $?

seq 10 > f; grep -A 2 3 f; grep -B 1 3 f; grep -C 1 5 f; grep -m 2 . f; grep -A1 -B1 '[37]' f; grep -n -A1 9 f

mkdir d; echo x > d/a; echo y > d/b; grep -r x d; grep -l x d/a d/b; grep -L x d/a d/b; grep -h x d/a d/b; grep -H x d/a; grep -rl . d | sort; grep -s x none; echo $?; grep x none 2>/dev/null; echo $?

mkdir -p d/e; echo x > d/a.c; echo x > d/b.h; echo x > d/e/c.c; grep -r x d | sort; grep -c x d/a.c d/b.h

printf 'ab\nabc\nb\n' > f; grep '^a' f; grep 'b$' f; grep 'a.c' f; grep 'ab*' f; grep 'ab\{1,\}c' f; grep '\(a\)b' f; grep '^$' f; echo $?; egrep '^(a|b)b?$' f; fgrep bc f; grep '[[:alpha:]]c' f

printf 'x.y\nxzy\n' > f; grep 'x\.y' f; grep -F x.y f; grep -vc x.y f; grep -E 'x(\.|z)y' f; grep -E '(x)(.)y' f; grep -on y f; grep -i X.Y f; grep -E 'x+z' f

printf 'foo bar\nbaz\n' > f; sed s/o/0/ f; sed s/o/0/g f; sed s/o/0/2 f; sed -n /bar/p f; sed /baz/d f; sed 1d f; sed '$d' f; sed -n '$=' f; sed = f; sed 's/\(.*\) \(.*\)/\2 \1/' f

seq 6 > f; sed -n 2,4p f; sed 2,4d f; sed -n '2~2p' f; sed 2q f; sed '3!d' f; sed -n '/3/,/5/p' f; sed '/2/,+1d' f; sed 1~3d f; sed '$!N;s/\n/ /' f

seq 3 > f; sed '2i\before' f; sed '2a\after' f; sed '2c\changed' f; sed y/123/abc/ f; sed 's/2/[&]/' f; sed -e s/1/x/ -e s/3/z/ f; printf 's/2/T/\n' > s; sed -f s f; sed 's|2|/|' f

seq 4 > f; sed -n 'H;${x;s/\n/,/g;p}' f; sed ':a;N;$!ba;s/\n/+/g' f; sed -n '1!G;h;$p' f; sed 'n;d' f; sed '/2/{s//two/;b};s/$/./' f; sed 's/1/x/;t;s/2/y/;T;s/$/!/' f

printf 'a\n' > f; sed -i s/a/b/ f; cat f; sed -i.old s/b/c/ f; cat f f.old; sed -E 's/(c)+/<\1>/' f; sed -r 's/c|d/x/' f; sed s/C/x/I f; sed -n s/c/d/p f; sed 's/c/d/w out' f; cat out

printf 'a b\n' | sed 's/ /\n/'; printf 'a\tb\n' | sed 's/\t/ /'; printf 'x\n' | sed l; printf 'aXb\n' | sed 's/x/-/i'; printf 'abc\n' | sed 's/b*/x/2'; printf 'one\n' | sed 'r none'; printf 'in\n' > f; printf 'one\n' | sed 'r f'; printf 'q\n' | sed 'q5'; echo $?

printf 'a 1\nb 2\nc 3\n' > f; awk '{print $2}' f; awk '{s+=$2} END {print s}' f; awk 'NR==2' f; awk '/b/{print NR": "$0}' f; awk -F' ' '{print NF}' f; awk -v x=5 'BEGIN{print x+1}'; awk 'BEGIN{OFS="-"} {$1=$1; print}' f

printf 'a:b\nc:d\n' > f; awk -F: '{print $2,$1}' f; awk -F: 'END{print NR, FILENAME}' f; awk 'BEGIN{while((getline l < "f")>0) n++; print n}'; awk -F '[:]' '{print $NF}' f; printf 'BEGIN { print "file" }\n' > p; awk -f p; awk 'BEGIN{printf "%s %d %5.2f %c %x\n","s",3.9,3.14159,65,255}'

awk 'BEGIN{a["x"]=1;a["y"]=2; for(k in a) n+=a[k]; print n, ("x" in a), ("z" in a); delete a["x"]; print length(a)}'; awk 'BEGIN{n=split("a,b,c",p,","); print n,p[1],p[3]}'; awk 'BEGIN{s="hello"; gsub(/l/,"L",s); print s, length(s), index(s,"L"), substr(s,2,3), toupper(s), tolower(s)}'

awk 'BEGIN{print match("foobar",/o+/),RSTART,RLENGTH; print sprintf("%03d",7); print int(3.9),sqrt(16),exp(0),log(1),sin(0),cos(0),atan2(0,1)}'; awk 'function f(n){return n<2?1:n*f(n-1)} BEGIN{print f(10)}'; awk 'BEGIN{print 1e6,1e20,0.1+0.2,100000*100000,-7%3,2^10,2**3}'

awk 'BEGIN{i=0; do {i++; if(i==3) continue; if(i>5) break; printf i" "} while(1); print ""; for(;;) {exit 3}}'; echo $?; awk 'BEGIN{"echo cmd"|getline x; print x; print "b\na" | "sort"; close("sort"); system("echo sys")}'; awk 'BEGIN{print ENVIRON["HOME"], ARGC, ARGV[1]}' one; awk 'BEGIN{print length()}' < /dev/null; awk 'BEGIN{print substr("abc",0,2) "|" substr("abc",2) "|" substr("abc",5)}'

printf '1\n2\n3\n4\n' | awk 'NR%2{next} {print}'; printf 'a,b;c,d' | awk 'BEGIN{RS=";";FS=","}{print $2}'; printf 'x\n\ny\nz\n' | awk 'BEGIN{RS=""}{print NR": "$1}'; printf 'k v\n' | awk '{$3="new"; print; print NF}'; printf '5 apples\n' | awk '$1>3'; printf 'b\na\n' | awk '{l[NR]=$0} END{for(i=NR;i;i--) print l[i]}'; printf 'aXbX\n' | awk -F X '{print NF}'
