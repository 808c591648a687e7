seq 1000 > f; gzip f; [ -e f ] || echo packed; gzip -d f.gz; wc -l < f | tr -d ' '; gzip -k f; ls; gzip -t f.gz && echo whole

seq 1000 > f; for l in 1 6 9; do gzip -n -$l -c f | gzip -dc | cmp - f && echo $l; done; gzip -n -9 -c f | sha256sum > a; gzip -n -9 -c f | sha256sum | cmp - a && echo equal

seq 100000 > f; gzip -n -c f | wc -c | tr -d ' '; gzip -n -1 -c f | wc -c | tr -d ' '; gzip -n -c f | sha256sum

seq 100 > f; gzip -c f > a.gz; gzip -l a.gz | tail -n 1 | awk '{ print $2 }'; cat a.gz a.gz > two.gz; gzip -dc two.gz | wc -l | tr -d ' '

echo text | gzip | gzip -d; echo junk | gzip -d 2>/dev/null; echo $?; gzip none 2>/dev/null; echo $?; : | gzip | gzip -d | wc -c | tr -d ' '

seq 1000 > f; gzip -c f | head -c 100 > cut.gz; gzip -t cut.gz 2>/dev/null; echo $?; gzip -dc cut.gz > /dev/null 2>&1; echo $?

mkdir d; seq 9 > d/a; seq 9 > d/b; gzip -r d; ls d; gzip -dr d; ls d; gzip -S .z d/a; ls d; gzip -d -S .z d/a.z; ls d

seq 10 > f; gzip -f f; seq 20 > f; gzip -f f; gzip -dc f.gz | tail -n 1; gzip -dk f.gz; gzip -d f.gz < /dev/null 2>/dev/null; echo $?; gzip -v -k -f f 2>&1 | grep -c f.gz

seq 1000 > f; xz f; [ -e f ] || echo packed; xz -d f.xz; wc -l < f | tr -d ' '; xz -k f; ls; xz -t f.xz && echo whole

seq 10000 > f; for l in 0 3 6; do xz -$l -c f | xz -dc | cmp - f && echo $l; done; xz --check=crc32 -c f | xz -dc | wc -l | tr -d ' '; xz --check=sha256 -c f | xz -t && echo sha256

seq 50000 > f; xz -0 -T1 -c f | wc -c | tr -d ' '; xz -6 -T1 -c f | sha256sum; xz -0 -c f | xzcat | tail -n 1; xz -c f > f.xz; unxz -f f.xz; wc -l < f | tr -d ' '

echo text | xz | xz -d; echo junk | xz -d 2>/dev/null; echo $?; xz none 2>/dev/null; echo $?; : | xz | xz -d | wc -c | tr -d ' '

seq 1000 > f; xz -c f | head -c 100 > cut.xz; xz -t cut.xz 2>/dev/null; echo $?; xz --format=lzma -c f | xz --format=lzma -dc | tail -n 1; xz -l cut.xz 2>/dev/null; echo $?

seq 1000 > f; xz -k f; xz --robot -l f.xz | grep -c totals; xz -c f f > two.xz; xz -dc two.xz | wc -l | tr -d ' '; xz -e -9 --memlimit=200MiB -c f | xz -dc | cmp - f && echo limited

dd if=/dev/zero bs=1024 count=2000 2>/dev/null | xz -1 | wc -c | tr -d ' '; dd if=/dev/zero bs=1024 count=2000 2>/dev/null | gzip -1 | gzip -d | wc -c | tr -d ' '
