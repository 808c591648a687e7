mkdir d; echo a > d/a; echo b > d/b; tar cf t d; tar tf t | sort; mkdir o; tar xf t -C o; cat o/d/a o/d/b

mkdir -p d/e; seq 1000 > d/e/n; ln -s n d/e/l; ln d/e/n d/h; tar czf t.tgz d; mkdir o; tar xzf t.tgz -C o; cmp d/e/n o/d/h; readlink o/d/e/l; stat -c %h o/d/h

seq 5000 > n; for z in z J; do tar c${z}f t.$z n; rm n; tar xf t.$z; wc -l < n | tr -d ' '; done

seq 100 > n; tar -cf - n | tar -tvf - | awk '{ print $1, $3, $6 }'; tar -cf - n | (mkdir o; cd o; tar -xf -); cmp n o/n && echo same

echo 1 > a; echo 2 > b; tar cf t a; tar rf t b; tar tf t; echo 3 > a; tar uf t a 2>/dev/null; tar --delete -f t b; tar tf t | sort -u

mkdir d; touch d/x.o d/x.c d/y.o; tar cf t --exclude='*.o' d; tar tf t | sort; tar cf t --exclude=d/x.c d; tar tf t | sort

mkdir d; echo s > d/a; tar cf t --transform='s,^d,other,' d; tar tf t; tar xf t --strip-components=1; cat a

echo text > f; chmod 640 f; tar cf t --owner=7 --group=8 --numeric-owner --mtime=@86400 f; TZ=UTC tar tvf t --numeric-owner | tr -s ' '

echo a > f; tar --format=ustar -cf u f; tar --format=pax -cf p f; tar --format=gnu -cf g f; tar --format=v7 -cf v f; for t in u p g v; do tar tf $t; done

n=$(printf 'x%.0s' $(seq 150)); mkdir $n; echo deep > $n/$n; tar cf t $n; rm -r $n; tar xf t; cat $n/$n | head -c 4; tar tf t | wc -l | tr -d ' '

truncate -s 1M s; echo end >> s; tar cSf t s; [ $(wc -c < t) -lt 50000 ] && echo sparse; rm s; tar xf t; wc -c < s | tr -d ' '; tail -c 4 s

mkfifo p; tar cf t p; rm p; tar xf t; [ -p p ] && echo fifo; tar tvf t | cut -c1

echo a > a; echo b > b; printf 'a\nb\n' > list; tar cf t -T list; tar tf t; printf 'b\0' | tar cf t --null -T -; tar tf t

echo new > f; tar cf t f; echo changed > f; tar xkf t 2>/dev/null; cat f; tar xf t; cat f; tar xvf t

tar tf none 2>/dev/null; echo $?; echo junk > j; tar tf j 2>/dev/null; echo $?; tar cf t none 2>/dev/null; echo $?; tar 2>/dev/null; echo $?

echo a > f; tar cf t f; tar df t; echo $?; echo b > f; tar df t > /dev/null 2>&1; echo $?; tar xOf t f

mkdir d; chmod 1777 d; touch d/s; chmod 4755 d/s; tar cpf t d; rm -r d; tar xpf t; stat -c '%a %n' d d/s

for i in $(seq 200); do echo $i > f$i; done; tar cf t f*; rm f*; tar xf t; cat f* | sort -n | tail -n 1; tar tf t | wc -l | tr -d ' '

mkdir d; echo a > d/f; tar cf t d; tar xf t --wildcards '*/f' -O; tar tf t --wildcards 'd*' | wc -l | tr -d ' '; tar xf t --to-command='wc -c | tr -d " "'

mkdir d; echo 1 > d/a; tar cf full -g snap d; echo 2 > d/b; tar cf inc -g snap d; tar tf inc | sort; tar tf full --totals 2>/dev/null | sort

mkdir d; echo 1 > d/a; tar -C d -cf t .; tar tf t | sort; tar cf t -C d a -C .. d; tar tf t | sort; cd d; tar cf ../t ../d 2>/dev/null; tar tf ../t | sort

echo a > f; tar cvf t f; tar cf t f --remove-files; [ -e f ] || echo gone; tar --test-label -f t; tar cf l -V label t; tar --test-label -f l

tar --version | head -n 1 | cut -c1-9; seq 3000 > f; tar c f | wc -c | tr -d ' '; tar c -b 1 f | wc -c | tr -d ' '; tar cf t --use-compress-program=gzip f; gzip -t t && echo packed
