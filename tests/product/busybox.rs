//! Debian's BusyBox, compiled for Linux with our port of musl: its programs print in a container what they print natively.

use std::process::Command;

use tempfile::TempDir;

use crate::home::{Ended, Home, guest};

/// What ours is compared with: Debian's static one, of another release.
const NATIVE: &str = "/usr/bin/busybox";

/// The image of BusyBox with a link for each of its programs.
const BALENAFILE: &str = "FROM scratch
COPY --chmod=755 busybox /bin/busybox
RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]
WORKDIR /tmp/here
";

/// Scripts by what they try, each in an empty directory.
const CASES: &[(&str, &str)] = &[
    (
        "files",
        "mkdir -p d/e; touch d/x d/e/x; find . -name x | sort; cp -r d f; mv f g; rm -r d; ls -R; \
         ln -s g/x l; readlink l; realpath l | wc -l; ln g/x h; stat -c '%h %a %F' g/x; \
         chmod 4751 h; ls -l h | cut -c1-10; find . -type f -exec echo {} + | tr ' ' '\\n' | sort; \
         mkfifo p; test -p p && echo fifo; truncate -s 5 t; wc -c < t; dd if=/dev/zero bs=1k count=3 2>/dev/null | wc -c; \
         rmdir g 2>/dev/null; echo $?; unlink h; find . -name x -exec rm {} ';'; ls",
    ),
    (
        "text",
        "printf '3 c\\n1 a\\n2 b\\n' > n; sort n; sort -k2 -r n; sort -n n | head -n 1; tail -n 1 n; cut -d' ' -f2 n | paste -s -d,; \
         sed -n 's/\\([0-9]\\) \\(.\\)/\\2\\1/p' n; awk '{ s += $1 } END { printf \"%d %.3f %s\\n\", s, s / 7, toupper($2) }' n; \
         grep -c '[ab]' n; egrep '^(1|3)' n; tr a-z A-Z < n; uniq -c n; nl n; fold -w 2 n | wc -l; rev n; tac n; seq 1 2 9 | xargs; \
         seq 3 | tee m | wc; cmp n m; echo $?; expand n | od -c | head -n 1; \
         diff -u n m | tail -n 6; strings -n 3 n; factor 360; expr 6 '*' 7; printf '%s %05d\\n' a 42",
    ),
    (
        "editing",
        "printf 'one\\ntwo\\n' > a; printf 'one\\n2\\n' > b; diff -u a b > c; patch a c; cat a; \
         printf '1d\\nw\\nq\\n' | ed a; cat a; sed -i s/2/3/ a; cat a; printf 'x\\n' | vi -c wq! new 2>/dev/null > /dev/null; echo $?",
    ),
    (
        "archives",
        "mkdir d; seq 1000 > d/n; ln -s n d/l; tar cf a.tar d; tar tf a.tar | sort; mkdir o; tar xf a.tar -C o; cmp d/n o/d/n && readlink o/d/l; \
         tar czf a.tgz d; tar tzf a.tgz | wc -l; for z in gzip bzip2 lzop; do $z -c d/n > z; $z -dc z | cmp - d/n && echo $z; done; \
         find d | sort | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null; gzip -9 d/n; zcat d/n.gz | tail -n 1; uuencode a.tgz x | uudecode -o - | cmp - a.tgz",
    ),
    (
        "sums",
        "echo text > n; md5sum n; sha1sum n; sha256sum n; sha512sum n; sha3sum n; crc32 n; sha256sum n > c; sha256sum -c c; \
         base64 n; xxd n; hexdump -C n; od -x n; mkpasswd -m sha512 -S abc secret",
    ),
    (
        "numbers and dates",
        "echo '2^100; scale=20; 4*a(1)' | bc -l; echo '2 3 + p' | dc; date -u -d @86400; date -u -D %Y -d 2000 +%A; cal 2 2024; ipcalc -n 10.1.2.3/8",
    ),
    (
        "processes",
        "sleep 0 & wait; echo $?; sleep 100 & kill $!; wait $! 2>/dev/null; echo $?; timeout 1 sleep 100 2>/dev/null; echo $?; \
         (exit 3); echo $?; echo in | cat | cat; seq 4 | xargs -n 1 -P 2 echo | sort; env -i A=1 env; setsid echo session; \
         start-stop-daemon -S -x /bin/echo -- started",
    ),
    (
        "shells",
        "x=$(echo a $(echo b)); echo $x ${x#a} ${x/b/c}; f() { local v=$1; echo $v $#; }; f p q; case ab in a*) echo star;; esac; \
         i=0; while [ $i -lt 3 ]; do i=$((i + 1)); done; echo $i; trap 'echo bye' EXIT; trap 'echo caught' USR1; kill -USR1 $$; \
         echo '#!/bin/sh' > s; echo 'echo script $0 $1' >> s; chmod +x s; ./s arg; ash -c 'echo $((1 << 40))'; \
         cat <<E | while read -r a b; do echo \"$b $a\"; done\none two\nthree four\nE\n",
    ),
];

/// Scripts of what the native one lacks, or what must not be tried outside of a container, and what they print.
const KNOWN: &[(&str, &str)] = &[
    (
        "printf '1\\n2\\n' > n; printf '2\\n3\\n' > m; comm -12 n m; split -l 1 n s; cat sab; cksum n; sum n; base32 n",
        "2\n2\n1864731933 4 n\n41003     1 \nGEFDECQ=\n",
    ),
    (
        "mkdir d; install -m 700 /bin/busybox d/i; stat -c %A d/i; tree d; find d -name i -delete; ls d",
        "-rwx------\nd\n└── i\n\n0 directories, 1 files\n",
    ),
    (
        "sleep 100 & until pidof sleep > /dev/null; do :; done; ps -o comm,args | grep -c '^sleep *sleep'; killall sleep; wait $! 2> /dev/null; echo $?",
        "1\n143\n",
    ),
    (
        "flock -n n echo locked; exec 9> n; flock 9; flock -n n echo no; echo $?; nohup echo kept 2> /dev/null",
        "locked\n1\nkept\n",
    ),
    (
        "printf '#!/bin/sh\\ncat /proc/$$/comm\\n' > s.sh; chmod +x s.sh; ./s.sh",
        "s.sh\n",
    ),
    ("hush -c 'for i in 1 2; do echo $((i + i)); done'", "2\n4\n"),
];

/// The script that tries every case and tells where each begins and how it ended.
fn script<'a>(cases: impl Iterator<Item = &'a str>) -> String {
    let mut script = String::new();
    for case in cases {
        let quoted = case.replace('\'', "'\\''");
        script.push_str(&format!(
            "mkdir case; (cd case; sh -c '{quoted}' 2>&1); echo \"== $?\"; rm -rf case\n"
        ));
    }
    script
}

/// What a script prints with BusyBox of this machine.
fn natively(script: &str) -> String {
    let directory = TempDir::new().expect("a directory");
    let bin = directory.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory for links");
    let run = |arguments: &[&str]| {
        let output = Command::new(NATIVE)
            .args(arguments)
            .current_dir(directory.path())
            .env("PATH", &bin)
            .output();
        Ended::of(&output.expect("`cargo xtask setup` installs it"))
    };
    let installed = run(&["--install", "-s", &bin.to_string_lossy()]);
    assert_eq!(installed.code, 0, "{}", installed.stderr);
    run(&["sh", "-c", script]).stdout
}

/// What a script prints with ours, in a container.
fn contained(script: &str) -> String {
    let home = Home::shared();
    let program = std::fs::read(guest("linux/busybox.wasm")).expect("it is there");
    home.write("busybox", program);
    home.write("Balenafile", BALENAFILE);
    home.ok(&["build", "-t", "busybox-programs", "."]);
    let ended = home.run(&["run", "--rm", "busybox-programs", "/bin/sh", "-c", script]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.stdout
}

#[test]
fn programs_of_busybox_print_what_they_print_natively() {
    let script = script(CASES.iter().map(|(_, case)| *case));
    let (ours, native) = (contained(&script), natively(&script));
    let endings = ours.matches("== ").count();
    assert_eq!(endings, CASES.len(), "{ours}");
    let pairs = ours.split("== ").zip(native.split("== "));
    for ((name, _), (ours, native)) in CASES.iter().zip(pairs) {
        assert_eq!(ours, native, "{name}");
    }
}

#[test]
fn programs_that_the_native_one_lacks_print_what_is_known() {
    let ours = contained(&script(KNOWN.iter().map(|(case, _)| *case)));
    let known: String = KNOWN
        .iter()
        .map(|(_, known)| format!("{known}== 0\n"))
        .collect();
    assert_eq!(ours, known);
}
