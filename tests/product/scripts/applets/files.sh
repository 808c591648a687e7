mkdir a; mkdir -p b/c/d; mkdir -m 700 e; stat -c '%a %n' a e; mkdir a 2>/dev/null; echo $?; rmdir a; rmdir -p b/c/d; ls; mkdir -pv x/y

echo x > f; cp f g; cat g; cp -i f g < /dev/null 2>/dev/null; mkdir d; cp f g d; ls d; cp -r d e; ls e; cp -f f g; cp f none/x 2>/dev/null; echo $?; cp -t d f; cp -u f g; echo $?

echo x > f; chmod 640 f; touch -d '2001-02-03 04:05:06' f; cp -p f g; stat -c '%a %Y' g; ln -s f l; cp -d l m; readlink m; cp -L l n; [ -L n ]; echo $?; cp -a l o; readlink o; cp -s f p; readlink p; cp -l f q; stat -c %h q

mkdir -p d/e; echo 1 > d/a; echo 2 > d/e/b; cp -R d x; find x | sort; cp -a d/. y 2>/dev/null; mkdir y; cp -a d/. y; find y | sort; cp d z 2>/dev/null; echo $?; cp -v d/a w; cp --parents d/e/b y; find y | sort

echo a > f; mv f g; ls; mkdir d; mv g d; ls d; echo b > g; mv -f g d/g; cat d/g; echo c > g; mv -n g d/g; cat d/g; mv -v g h; mv none x 2>/dev/null; echo $?; mv -t d h; ls d; mv d e; ls

touch f; rm f; rm f 2>/dev/null; echo $?; rm -f f; echo $?; mkdir -p d/e; touch d/e/f; rm d 2>/dev/null; echo $?; rm -r d; ls; mkdir d; rm -rf d none; echo $?; touch -- -x; rm -- -x; ls; mkdir d; rm -d d 2>/dev/null; rm -rfv d

echo x > f; ln f g; stat -c %h f; ln -s f l; readlink l; ln -sf g l; readlink l; mkdir d; ln -s ../f d; readlink d/f; ln -sn g d 2>/dev/null; ln -s d m; ln -sfn f m; readlink m; ln f g 2>/dev/null; echo $?; ln -v f h; ln -sr d/f r 2>/dev/null; ln -s -T f t; readlink t

touch f; stat -c '%s %F' f; touch -c none; ls none 2>/dev/null; echo $?; touch -d '2010-01-01 00:00:00' f; stat -c %y f | cut -c1-19; touch -r f g; stat -c %Y g; touch -t 201102030405 g; stat -c %y g | cut -c1-16; touch -a f; touch -m f; touch -h f

echo x > f; chmod 755 f; stat -c %a f; chmod u-x f; stat -c %a f; chmod go+w f; stat -c %a f; chmod a=r f; stat -c %a f; chmod +x f; stat -c %a f; chmod 4755 f; stat -c %A f; chmod u=rwx,g=rx,o= f; stat -c %A f; chmod -v 600 f; chmod 9 f 2>/dev/null; echo $?; mkdir d; touch d/g; chmod -R 700 d; stat -c %a d/g; chmod -c 700 d; chmod g=u f; stat -c %a f

echo x > f; chown 1:2 f; stat -c '%u %g' f; chown 3 f; stat -c '%u %g' f; chown :4 f; stat -c '%u %g' f; chgrp 5 f; stat -c %g f; mkdir d; touch d/g; chown -R 6:7 d; stat -c '%u %g' d/g; ln -s f l; chown -h 8 l; stat -c %u l f; chown -v 9 f; chown -c 9 f

mkdir d; echo abc > d/a; touch d/.h; mkdir d/e; ln -s a d/l; ls d; ls -a d; ls -A d; ls -1 d; ls -d d; ls -F d; ls -p d; ls -R d; ls -r d; ls -m d 2>/dev/null; ls d/*

touch -d '2001-01-01' old; touch -d '2002-01-01' new; printf 12345 > big; touch -d '2000-01-01' big; ls -t; ls -tr; ls -S; ls -Sr; ls -X 2>/dev/null; ls -c > /dev/null; ls -u | wc -l; ls -1t | head -n 1; touch v10 v9; ls -v v*

printf 12345 > f; chmod 640 f; chown 1000:100 f; touch -d '2001-02-03 04:05:06' f; TZ=UTC ls -ln f; TZ=UTC ls -ln --full-time f; ls -s f > /dev/null; ls -i f | wc -w; ls -lh f | tr -s ' ' | cut -d' ' -f5; ls -g f | wc -w; ln -s f l; ls -l l | sed 's/.* l/l/'; ls -L l; ls -lH l | cut -c1

touch b a 'c d'; ls -Q 2>/dev/null; ls -w 10 -C; ls -x; ls -w 4 -C; ls none 2>/dev/null; echo $?; ls a b; ls -l a | wc -l; ls --color=never; ls --group-directories-first; mkdir z; ls --group-directories-first

printf hello > f; stat -c '%s %n %h %F %a %A %u %g %t %T %f' f; stat -c %N f; ln -s f l; stat -c %N l; stat -L -c %F l; stat -t f | wc -w; stat -f -c %T . > /dev/null; echo $?; stat none 2>/dev/null; echo $?; mkdir d; stat -c %F d; mkfifo p; stat -c %F p; stat -c %b f > /dev/null; touch e; stat -c %F e

mkdir -p d/e; dd if=/dev/zero of=d/a bs=4096 count=4 2>/dev/null; dd if=/dev/zero of=d/e/b bs=4096 count=2 2>/dev/null; du -b d 2>/dev/null | wc -l; du -a d | wc -l; du -s d | wc -l; du -c d | tail -n 1 | cut -f2; du -d 0 d | wc -l; du -h d/a | cut -f1; du -k d/a | cut -f1; du -m d/a | cut -f1

printf 'abcdef' > f; dd if=f bs=2 count=1 2>/dev/null; echo; dd if=f bs=1 skip=3 2>/dev/null; echo; dd if=f of=g bs=3 seek=1 2>/dev/null; od -c g; printf XY | dd of=f bs=1 seek=2 conv=notrunc 2>/dev/null; cat f; echo; dd if=f conv=swab 2>/dev/null; echo; dd if=f ibs=2 obs=3 2>&1 > /dev/null | head -n 2; dd if=f of=h bs=4 conv=sync 2>/dev/null; wc -c < h

printf abc > f; dd if=f bs=1 iflag=skip_bytes skip=1 2>/dev/null; echo; dd if=f of=g oflag=append conv=notrunc 2>/dev/null; dd if=f of=g oflag=append conv=notrunc 2>/dev/null; cat g; echo; dd if=none 2>/dev/null; echo $?; dd if=f count=0 2>/dev/null; dd if=f status=none; echo; dd if=f of=g conv=fsync status=noxfer 2>&1 | head -n 1

truncate -s 100 f; wc -c < f; truncate -s +50 f; wc -c < f; truncate -s 1K f; wc -c < f; truncate -s -24 f; wc -c < f; truncate -c -s 5 none; ls none 2>/dev/null; echo $?; fallocate -l 10 g; wc -c < g; fallocate -o 10 -l 10 g; wc -c < g

ln -s b a; ln -s c b; touch c; readlink a; basename $(readlink -f a); readlink c; echo $?; realpath a | sed 's,.*/,,'; realpath none 2>/dev/null | sed 's,.*/,,'; readlink -n a; echo; readlink -v a; mkdir d; ln -s ../c d/x; basename $(readlink -f d/x); realpath d/../a | sed 's,.*/,,'

t=$(mktemp); [ -f $t ] && echo file; rm $t; d=$(mktemp -d); [ -d $d ] && echo directory; rmdir $d; mktemp ./xXXXXXX | cut -c1-3; mktemp -u ./yXXXXXX | wc -c; mktemp -p . zXXXXXX | cut -c1-3; mktemp bad 2>/dev/null; echo $?; mktemp -q none/xXXXXXX; echo $?; ls | wc -l

touch f; test -f f; echo $?; test -d f; echo $?; test -e none; echo $?; test -s f; echo $?; test -r f -a -w f; echo $?; [ -x f ]; echo $?; [ 1 -lt 2 ] && [ 2 -gt 1 ] && [ 1 -le 1 ] && [ 1 -ge 1 ] && [ 1 -ne 2 ] && echo numbers; [ a = a ] && [ a != b ] && [ -n a ] && [ -z '' ] && echo strings; [ ! -e none -o 1 = 2 ]; echo $?; touch -d '2001-01-01' o; [ f -nt o ] && [ o -ot f ] && [ f -ef f ] && echo ages; [ ]; echo $?; [ a b ] 2>/dev/null; echo $?

install -m 750 /dev/null f; stat -c %a f; install -d a/b; ls a; echo x > g; install -m 600 g a/h; stat -c %a a/h; install -D g p/q/r; cat p/q/r; install -o 3 -g 4 g k; stat -c '%u %g' k; install -s g none/x 2>/dev/null; echo $?; install -t a g; ls a

mkfifo p; ls -l p | cut -c1; mkfifo -m 600 q; stat -c %a q; mknod n p; stat -c %F n; (echo through > p &); cat p; link p r; stat -c %h p; unlink r; ls; unlink none 2>/dev/null; echo $?; sync; sync p; fsync p 2>/dev/null; echo $?
