seq 100 > f; gzip -k f; gzip -t f.gz; echo $?; zcat f.gz | tail -n 1; gzip -dc f.gz | cmp - f; gunzip -c f.gz | wc -l; rm f; gunzip f.gz; tail -n 1 f; gzip -9 f; ls; gzip -d f.gz; gzip -1 -c f | gzip -d | wc -l; gzip < f | zcat | head -n 1; gzip -f f; ls; gunzip -f f.gz; ls

seq 1000 > f; bzip2 -k f; bzip2 -t f.bz2; echo $?; bzcat f.bz2 | tail -n 1; bunzip2 -c f.bz2 | cmp - f; bzip2 -dc f.bz2 | wc -l; rm f; bunzip2 f.bz2; ls; bzip2 -9 f; ls; bunzip2 -k f.bz2; ls; bzip2 -c f | bunzip2 | head -n 1; echo junk | bunzip2 2>/dev/null; echo $?; bzip2 -f f; ls

seq 1000 > f; xz -c f > f.xz 2>/dev/null || cp f g; lzma -c f 2>/dev/null | wc -c > /dev/null; printf junk > j.xz; xzcat j.xz 2>/dev/null; echo $?; unxz -c j.xz 2>/dev/null; echo $?; unlzma -c j.xz 2>/dev/null; echo $?; zcat j.xz 2>/dev/null; echo $?

seq 100 > f; lzop f; ls; lzop -t f.lzo; echo $?; lzopcat f.lzo 2>/dev/null | tail -n 1; rm f; lzop -d f.lzo; tail -n 1 f; lzop -c f | lzop -dc | cmp - f; lzop -9 -f f; lzop -df f.lzo; ls

mkdir d; seq 10 > d/a; ln -s a d/l; busybox tar cf t d; busybox tar tf t | sort; busybox tar tvf t | awk '{print $1, $6}' | sort; mkdir o; busybox tar xf t -C o; cmp d/a o/d/a; readlink o/d/l; busybox tar czf t.gz d; busybox tar tzf t.gz | sort; busybox tar cjf t.bz d; busybox tar tjf t.bz | sort; busybox tar xOf t d/a | tail -n 1; busybox tar cf - d | busybox tar tf - | sort

mkdir d; touch d/a d/b d/c; busybox tar cf t --exclude=d/b d; busybox tar tf t | sort; printf 'd/a\n' > l; busybox tar cf t -T l; busybox tar tf t | sort; printf 'd/c\n' > x; busybox tar cf t -X x d; busybox tar tf t | sort; busybox tar xvf t | sort; busybox tar cvf t d | sort; busybox tar xf t d/a; busybox tar xf t none 2>/dev/null; echo $?; busybox tar xf t --strip-components=1; ls; busybox tar tf none 2>/dev/null; echo $?

mkdir d; echo a > d/f; chmod 600 d/f; touch -d '2001-01-01 00:00:00' d/f; busybox tar cf t d; rm -r d; busybox tar xpf t; stat -c '%a %Y' d/f; echo b > d/f; busybox tar xkf t 2>/dev/null; cat d/f; busybox tar xf t --overwrite; cat d/f; busybox tar xmf t; [ $(stat -c %Y d/f) -gt 1000000000 ] && echo now; busybox tar xf t --to-command='wc -c' ; busybox tar cf t --numeric-owner d; busybox tar tvf t | awk '{print $2}' | sort; ln d/f d/g; busybox tar cf t d; busybox tar tvf t | grep -c link

mkdir d; echo a > d/x; ln -s x d/l; find d | sort | cpio -o -H newc 2>/dev/null > c; cpio -t < c 2>/dev/null; rm -r d; cpio -i -d < c 2>/dev/null; find d | sort; cat d/x; cpio -iv < c 2>/dev/null; mkdir o; cd o; cpio -idu -F ../c 2>/dev/null; readlink d/l; find d | cpio -p -d ../p 2>/dev/null; find ../p | sort; cpio -it d/x < ../c 2>/dev/null; printf 'd/x\0' | cpio -o0 -H newc 2>/dev/null | cpio -t 2>/dev/null

echo a > a; echo b > b; ar rc l.a a b 2>/dev/null || ar -r l.a a b; ar t l.a; ar p l.a a; ar tv l.a | wc -l; rm a; ar x l.a; cat a; ar t none 2>/dev/null; echo $?

printf 'UEsDBAoAAAAAAAAAIQCpMMX+AwAAAAMAAAABAAAAZmhpClBLAQIeAwoAAAAAAAAAIQCpMMX+AwAAAAMAAAABAAAAAAAAAAEAAACkgQAAAABmUEsFBgAAAAABAAEALwAAACIAAAAAAA==' | base64 -d > z; unzip -l z 2>/dev/null | tail -n 1 | awk '{print $1, $2}'; unzip -p z f 2>/dev/null; unzip -q z 2>/dev/null; ls; unzip none 2>/dev/null; echo $?

seq 300 > f; compress f 2>/dev/null; ls; printf 'H52QYcSIARA=' | base64 -d > x.Z; uncompress -c x.Z 2>/dev/null | od -c | head -n 1; printf junk > y.Z; uncompress -c y.Z 2>/dev/null; echo $?; rpm2cpio none 2>/dev/null; echo $?; dpkg-deb 2>/dev/null; echo $?
