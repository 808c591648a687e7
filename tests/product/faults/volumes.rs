//! Image files as volumes where the host refuses: directories that cannot be written, a host without room.

use std::process::Output;

use crate::faults::disks::{on_a_disk, stdout};
use crate::home::Home;

/// Checks what was printed, and that standard error has each of these texts.
#[track_caller]
fn assert_ended(output: &Output, printed: &str, texts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stdout(output), printed, "{stderr}");
    for text in texts {
        assert!(stderr.contains(text), "no {text:?} in {stderr}");
    }
}

#[test]
fn an_image_file_whose_directory_cannot_be_written_is_read_only() {
    let home = Home::new();
    let script = "mkdir disks && mount -t tmpfs none disks && $MINKE disk create --size 8M disks/data.img >/dev/null && \
         mount -o remount,ro disks; \
         $MINKE run --rm -v ./disks/data.img:/data $PROBE write /data/x y; echo $?; \
         $MINKE run --rm -v ./disks/data.img:/data:ro $PROBE ls /data; echo $?; \
         $MINKE ps -aq; ls disks";
    let Some(output) = on_a_disk(&home, "64m", script) else {
        return;
    };
    let texts = ["data.img`: Read-only file system", "hint: "];
    assert_ended(&output, "125\nlost+found/\n0\ndata.img\n", &texts);
}

#[test]
fn a_host_that_is_full_when_a_volume_is_merged_loses_nothing() {
    let home = Home::new();
    // There is room for what the first container writes, not for that and once more the same beside it.
    let script = "mkdir disks && mount -t tmpfs -o size=12m none disks && $MINKE disk create --size 64M disks/data.img >/dev/null; \
         run=\"$MINKE run --rm -v ./disks/data.img:/data $PROBE\"; \
         $run write /data/note kept; echo $?; \
         dd if=/dev/zero of=disks/filling bs=1M count=6 2>/dev/null; \
         $run fill /data/big 5; echo $?; \
         rm disks/filling; \
         $run ls /data; echo $?; $run cat /data/note; echo; \
         PATH=$PATH:/usr/sbin:/sbin e2fsck -fn disks/data.img >/dev/null 2>&1; echo $?; ls disks; $MINKE ps -aq";
    let Some(output) = on_a_disk(&home, "64m", script) else {
        return;
    };
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(lines[0], "0", "{said}");
    assert_ne!(lines[1], "0", "{said}");
    assert!(
        said.contains("no space left") && said.contains("hint: free space on the host"),
        "{said}"
    );
    assert!(text.ends_with("0\nkept\n0\ndata.img\n"), "{text}{said}");
}
