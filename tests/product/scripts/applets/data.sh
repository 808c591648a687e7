printf abc > f; md5sum f; sha1sum f; sha256sum f; sha512sum f; sha3sum f; cksum f; sum f; crc32 f; md5sum < f; md5sum f f; sha256sum f > c; sha256sum -c c; echo x >> f; sha256sum -c c 2>/dev/null; sha256sum -s -c c 2>/dev/null; echo $?; sha256sum -w -c none 2>/dev/null; echo $?

printf 'hello\n' | base64; printf 'aGVsbG8K\n' | base64 -d; seq 100 | base64 -w 20 | head -n 2; printf 'hello' | base32; printf 'NBSWY3DP' | base32 -d; echo; printf 'bad!' | base64 -d 2>/dev/null; echo $?; printf x | uuencode -m n; printf x | uuencode n; printf x | uuencode -m n | uudecode -o -; echo

printf 'abc\n\001\377' > f; od f; od -c f; od -x f; od -b f; od -d f; od -o f; od -A x -t x1 f; od -A n -t u1 f; od -t c f; od -j 1 -N 2 -c f; od -v f; od -w4 -t x1 f 2>/dev/null; od -An -td2 f; od -s f; od -a f

printf 'abcdefghijklmnopq' > f; hexdump f; hexdump -C f; hexdump -b f; hexdump -c f; hexdump -d f; hexdump -o f; hexdump -x f; hexdump -n 4 f; hexdump -s 4 -C f; hexdump -v f; hexdump -e '4/1 "%02x " "\n"' f; hexdump -C f

printf 'abcdefghijklmnopq' > f; xxd f; xxd -p f; xxd -l 4 f; xxd -s 4 f; xxd -c 8 f; xxd -g 1 f; xxd -p f | xxd -r -p; echo; xxd f | xxd -r; echo; xxd -i f; xxd -p -l 3 f

echo '1+2*3' | bc; echo 'scale=3; 10/3' | bc; echo '2^64' | bc; echo 'ibase=16; FF' | bc; echo 'obase=2; 10' | bc; echo 'sqrt(2)' | bc -l; echo 'define f(x){return x*x;} f(5)' | bc; echo 'for(i=0;i<3;i++) i' | bc; echo 's(1); c(1); a(1); l(2); e(1)' | bc -l; echo 'if (1<2) 5 else 6' | bc; echo '10%3; -7/2; 5>3; !0' | bc; echo 'x=3; x+=2; x; length(12345); scale(1.25)' | bc

echo '2 3+p' | dc; echo '10 3/p' | dc; echo '5k 10 3/p' | dc; echo '2 10^p' | dc; echo '1 2 3f' | dc; echo '9vp' | dc; echo '7 2%p' | dc; echo '16o255p' | dc; echo '2i1010p' | dc; echo '[hello]p' | dc; echo '3dd*p' | dc; dc -e '1 2 r f'; echo '[lap1-dsa0<x]sx 3sa lxx' | dc

date -u -d @0; date -u -d @86400 +%Y-%m-%d; date -u -d '2001-02-03 04:05:06' '+%H:%M:%S %j %a %A %b %B %d %e %y %m %s %u %w'; date -u -d '2001-02-03' +%s; date -u -D '%d.%m.%Y' -d 24.12.2020 +%F; date -u -d @1000000000 -R; date -u -d @0 -Iseconds; date -u -d @0 -I; date -d bad 2>/dev/null; echo $?; touch -d '2003-03-03 03:03:03' f; date -r f +%Y; date -u -d @0 '+%C %D %I %M %n %p %r %R %S %t %T %U %V %W %x %X %Z %%'; TZ=CET-1 date -d @0 +%H

cal 2 2024; cal 1 2000; cal -m 2 2024 2>/dev/null; cal -j 1 2024; cal 9 1752; cal 2023 | head -n 8; cal 13 2020 2>/dev/null; echo $?; cal 0 2>/dev/null; echo $?

ipcalc -n 10.1.2.3/8; ipcalc -b 10.1.2.3/8; ipcalc -m 192.168.1.1; ipcalc -p 10.0.0.0 255.255.0.0; ipcalc -s bad 2>/dev/null; echo $?; ipcalc -bnmp 172.16.5.4/20

mkpasswd -m sha512 -S abcdefgh secret; mkpasswd -m md5 -S abcdefgh secret; mkpasswd -m sha256 -S abcdefgh secret; cryptpw -m des -S ab secret; echo secret | mkpasswd -P 0 -m md5 -S abcdefgh; cryptpw -m md5 secret abcdefgh

id -u; id -g; id -un; id -gn; id -G; id | cut -d' ' -f1; whoami; groups; uname -s; uname -m > /dev/null; hostname > /dev/null; echo $?; arch > /dev/null; nproc > /dev/null; tty < /dev/null; echo $?; tty -s < /dev/null; echo $?; hostid | wc -c; pwd | sed 's,.*/,,'; pwd -P | sed 's,.*/,,'; umask; umask 27; umask; ttysize > /dev/null; echo $?

true; echo $?; false; echo $?; sleep 0; echo $?; sleep 0.01; usleep 1; yes | head -n 2; yes a b | head -n 1; timeout 5 true; echo $?; timeout 0.1 sleep 5; echo $?; timeout -s KILL 0.1 sleep 5 2>/dev/null; echo $?; timeout -k 1 0.1 sh -c 'trap "" TERM; sleep 0.3' 2>/dev/null; echo $?; kill -l | wc -l > /dev/null; kill -l 9; kill -l TERM; setsid sh -c 'echo session'; flock f -c 'echo locked'; flock -n f true; echo $?; flock -s f echo shared; flock -u 9 9> f; echo $?

printf 'a\nb\n' > f; printf '1p\n2p\nq\n' | ed -s f 2>/dev/null || printf '1p\n2p\nq\n' | ed f; printf 'a\nnew\n.\nw\nq\n' | ed f > /dev/null; cat f; printf '1d\nwq\n' | ed f > /dev/null; cat f; printf ',s/b/x/\nw\nq\n' | ed f > /dev/null; cat f; printf '$=\nq\n' | ed f; printf 'n\nq\n' | ed f 2>/dev/null | tail -n 1; printf '1i\nfirst\n.\n,p\nQ\n' | ed f
