//! Scripts of what is typed, printed and read.

use minke_abi::terminal::{InputFlags, LocalFlags, OutputFlags, character};
use minke_kernel::tty::{Flow, Queue};

/// Which flags a step changes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    I,
    O,
    L,
}

/// A step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    On(Field, u32),
    Off(Field, u32),
    Char(usize, u8),
    Type(&'static [u8]),
    TypeMany(u8, usize),
    Print(&'static [u8]),
    Read(usize),
    /// Reads from the slave until nothing is left.
    Drain,
    /// Reads from the master until nothing is left.
    Take,
    TakeOnce(usize),
    Count,
    Events,
    Flush(Queue),
    Flow(Flow),
    Packets,
    CloseSlave,
    CloseMaster,
}

use Field::{I, L, O};
use Step::*;

const ICANON: Step = Off(L, LocalFlags::ICANON.bits());
const LINES: Step = On(L, LocalFlags::ICANON.bits());
const SILENT: Step = Off(L, LocalFlags::ECHO.bits());
const UTF8: Step = On(I, InputFlags::IUTF8.bits());
const RAW_OUTPUT: Step = Off(O, OutputFlags::OPOST.bits());
const NO_SIGNALS: Step = Off(L, LocalFlags::ISIG.bits());
const NO_CONTROL_ECHO: Step = Off(L, LocalFlags::ECHOCTL.bits());
/// No byte means anything: `cfmakeraw()`.
const RAW: [Step; 3] = [Off(I, 0o2757), RAW_OUTPUT, Off(L, 0o100113)];

pub(crate) const CASES: &[(&str, &[Step])] = &[
    ("a line", &[Type(b"hello\n"), Count, Read(100)]),
    (
        "no line yet",
        &[Type(b"hello"), Count, Events, Read(100), Take],
    ),
    (
        "two lines, one read each",
        &[Type(b"one\ntwo\n"), Read(100), Read(100), Read(100)],
    ),
    (
        "a line in parts",
        &[Type(b"abcdef\n"), Read(2), Read(2), Read(100)],
    ),
    (
        "a read as long as the line",
        &[Type(b"abc\n"), Read(4), Read(4)],
    ),
    ("a return becomes a newline", &[Type(b"a\r"), Read(10)]),
    (
        "a return stays one",
        &[Off(I, InputFlags::ICRNL.bits()), Type(b"a\rb\n"), Read(10)],
    ),
    (
        "a return is dropped",
        &[On(I, InputFlags::IGNCR.bits()), Type(b"a\rb\n"), Read(10)],
    ),
    (
        "a newline becomes a return",
        &[
            On(I, InputFlags::INLCR.bits()),
            Off(I, InputFlags::ICRNL.bits()),
            Type(b"a\n"),
            Count,
            Type(b"\x04"),
        ],
    ),
    ("erase", &[Type(b"abc\x7f\x7fd\n")]),
    ("erase in an empty line", &[Type(b"\x7f\x7fa\n")]),
    ("erase a control character", &[Type(b"a\x01\x02\x7fb\n")]),
    (
        "erase a control character that shows nothing",
        &[NO_CONTROL_ECHO, Type(b"a\x01\x02\x7f\x7fb\n")],
    ),
    ("erase a tab", &[Type(b"ab\tc\x7f\x7f\n")]),
    (
        "erase tabs behind control characters",
        &[Type(b"\x01\tx\t\x7f\x7f\x7fz\n")],
    ),
    (
        "erase a tab behind a prompt",
        &[Print(b"prompt> "), Take, Type(b"a\t\x7f\n")],
    ),
    (
        "erase a character of two bytes",
        &[UTF8, Type("aü\x7fb\n".as_bytes())],
    ),
    (
        "erase a character of four bytes",
        &[UTF8, Type("😀x\x7f\x7fy\n".as_bytes())],
    ),
    (
        "erase a byte of a character of two",
        &[Type("aü\x7fb\n".as_bytes())],
    ),
    (
        "erase bytes that begin no character",
        &[UTF8, Type(b"\x80\x81\x7fb\n")],
    ),
    (
        "erase a tab behind characters of two bytes",
        &[UTF8, Type("üü\t\x7fz\n".as_bytes())],
    ),
    (
        "erase without `ECHOE`",
        &[Off(L, LocalFlags::ECHOE.bits()), Type(b"abc\x7f\x7fd\n")],
    ),
    ("erase silently", &[SILENT, Type(b"abc\x7f\x7fd\n")]),
    (
        "erase on paper",
        &[On(L, LocalFlags::ECHOPRT.bits()), Type(b"abc\x7f\x7fd\n")],
    ),
    (
        "erase all on paper",
        &[
            On(L, LocalFlags::ECHOPRT.bits()),
            Type(b"ab\x7f\x7f\x7fd\n"),
        ],
    ),
    (
        "erase two bytes on paper",
        &[
            UTF8,
            On(L, LocalFlags::ECHOPRT.bits()),
            Type("aü\x7f\x7f\n".as_bytes()),
        ],
    ),
    ("kill", &[Type(b"hello\x15bye\n")]),
    (
        "kill without `ECHOKE`",
        &[Off(L, LocalFlags::ECHOKE.bits()), Type(b"hello\x15bye\n")],
    ),
    (
        "kill without `ECHOK`",
        &[Off(L, LocalFlags::ECHOK.bits()), Type(b"hello\x15bye\n")],
    ),
    ("kill silently", &[SILENT, Type(b"hello\x15bye\n")]),
    (
        "kill on paper",
        &[On(L, LocalFlags::ECHOPRT.bits()), Type(b"hey\x15bye\n")],
    ),
    ("kill keeps lines", &[Type(b"one\ntwo\x15three\n")]),
    ("word erase", &[Type(b"one two_2 \x17three\n")]),
    (
        "word erase of several",
        &[Type(b"one, two.three\x17\x17\x17\n")],
    ),
    (
        "word erase in UTF-8",
        &[UTF8, Type("größe ähn\x17x\n".as_bytes())],
    ),
    ("word erase of Latin 1", &[Type(b"a \xd7\xe4\xf7b\x17x\n")]),
    (
        "word erase without `IEXTEN`",
        &[Off(L, LocalFlags::IEXTEN.bits()), Type(b"one two\x17\n")],
    ),
    ("quote an erase", &[Type(b"a\x16\x7fb\n")]),
    ("quote a newline", &[Type(b"a\x16\nb\n"), Read(100)]),
    ("quote an end", &[Type(b"a\x16\x04b\n")]),
    ("quote an interrupt", &[Type(b"a\x16\x03b\n")]),
    ("quote a stop", &[Type(b"a\x16\x13b\n")]),
    (
        "quote where control characters do not show",
        &[NO_CONTROL_ECHO, Type(b"a\x16\x7fb\n")],
    ),
    (
        "quote is forgotten with lines",
        &[Type(b"a\x16"), ICANON, LINES, Type(b"\x7fb\n")],
    ),
    ("reprint", &[Type(b"ab\x01c\x12d\n")]),
    (
        "reprint silently is a character",
        &[SILENT, Type(b"ab\x12d\n")],
    ),
    (
        "end of an empty line",
        &[Type(b"\x04"), Count, Read(10), Read(10)],
    ),
    (
        "end in the middle of a line",
        &[Type(b"abc\x04def\n"), Count, Read(10), Read(10)],
    ),
    (
        "end where the read ends",
        &[Type(b"abc\x04"), Read(3), Read(3)],
    ),
    (
        "end behind a read in parts",
        &[Type(b"abcd\x04"), Read(2), Read(2), Read(2)],
    ),
    (
        "two ends",
        &[Type(b"a\x04\x04b\n"), Read(10), Read(10), Read(10)],
    ),
    (
        "other ends of lines",
        &[
            Char(character::EOL, b';'),
            Char(character::EOL2, b'!'),
            Type(b"one;two!three\n"),
            Read(100),
            Read(100),
            Read(100),
        ],
    ),
    (
        "the second end of lines needs `IEXTEN`",
        &[
            Char(character::EOL2, b'!'),
            Off(L, LocalFlags::IEXTEN.bits()),
            Type(b"two!three\n"),
            Read(100),
        ],
    ),
    (
        "a disabled character",
        &[Char(character::ERASE, 0), Type(b"a\0b\x7f\n")],
    ),
    (
        "echo of control characters",
        &[Type(b"\x01\x1b\x1f\t\x08\n")],
    ),
    (
        "echo of control characters as they are",
        &[NO_CONTROL_ECHO, Type(b"\x01\x1b\x08\n")],
    ),
    (
        "echo of newlines only",
        &[SILENT, On(L, LocalFlags::ECHONL.bits()), Type(b"abc\n")],
    ),
    ("no echo", &[SILENT, Type(b"abc\n")]),
    ("echo without processing", &[RAW_OUTPUT, Type(b"abc\nd\n")]),
    (
        "an interrupt forgets what waits",
        &[Print(b"out"), Type(b"line\nabc\x03def\n")],
    ),
    (
        "an interrupt forgets nothing",
        &[
            On(L, LocalFlags::NOFLSH.bits()),
            Type(b"line\nabc\x03def\n"),
        ],
    ),
    ("quit", &[Type(b"abc\x1cdef\n")]),
    ("suspend", &[Type(b"abc\x1adef\n")]),
    ("no signals", &[NO_SIGNALS, Type(b"a\x03\x1c\x1ab\n")]),
    ("signals silently", &[SILENT, Type(b"abc\x03def\n")]),
    (
        "signals without lines",
        &[ICANON, Type(b"abc\x03def"), Drain],
    ),
    (
        "strip",
        &[On(I, InputFlags::ISTRIP.bits()), Type(b"\xe1\xe2\xff\n")],
    ),
    (
        "lower case",
        &[On(I, InputFlags::IUCLC.bits()), Type(b"ABC\xc4\n")],
    ),
    (
        "upper case",
        &[
            On(O, OutputFlags::OLCUC.bits()),
            Print(b"abc\xe4"),
            Type(b"x\n"),
        ],
    ),
    ("newlines are printed with returns", &[Print(b"a\nb\n")]),
    (
        "newlines are printed alone",
        &[Off(O, OutputFlags::ONLCR.bits()), Print(b"a\nb\n")],
    ),
    (
        "returns are printed as newlines",
        &[On(O, OutputFlags::OCRNL.bits()), Print(b"a\rb\n")],
    ),
    (
        "no return in the first column",
        &[On(O, OutputFlags::ONOCR.bits()), Print(b"\ra\r\rb\n\r")],
    ),
    (
        "a newline that returns",
        &[
            Off(O, OutputFlags::ONLCR.bits()),
            On(O, OutputFlags::ONLRET.bits() | OutputFlags::ONOCR.bits()),
            Print(b"a\n\rb\r\r"),
        ],
    ),
    (
        "tabs become blanks",
        &[
            On(O, OutputFlags::XTABS.bits()),
            Print(b"a\tbc\t\x08\t1234567\t8\r\t\x01\t"),
        ],
    ),
    (
        "tabs behind characters of two bytes",
        &[
            UTF8,
            On(O, OutputFlags::XTABS.bits()),
            Print("ä\tü\n".as_bytes()),
        ],
    ),
    (
        "a typed tab becomes blanks",
        &[
            On(O, OutputFlags::XTABS.bits()),
            Type(b"a\tb\x7f\x7f\x7f\n"),
        ],
    ),
    ("output as it is", &[RAW_OUTPUT, Print(b"a\nb\tc\r")]),
    (
        "raw",
        &[
            RAW[0],
            RAW[1],
            RAW[2],
            Type(b"a\r\n\x03\x04\x7f\x11\x13\0\xff"),
            Count,
        ],
    ),
    (
        "raw in parts",
        &[
            RAW[0],
            RAW[1],
            RAW[2],
            Type(b"abcdef"),
            Read(2),
            Read(3),
            Read(3),
        ],
    ),
    (
        "lines are not edited, and echoed",
        &[ICANON, Type(b"a\x7f\x04\r\n\t\x15")],
    ),
    (
        "not edited, newlines are returns",
        &[
            ICANON,
            On(I, InputFlags::INLCR.bits()),
            Off(I, InputFlags::ICRNL.bits()),
            Type(b"a\nb\r"),
        ],
    ),
    (
        "a read that need not wait gives nothing",
        &[
            ICANON,
            Char(character::MIN, 0),
            Read(10),
            Type(b"abc"),
            Read(2),
            Read(2),
            Read(2),
        ],
    ),
    (
        "several bytes make it readable",
        &[
            ICANON,
            SILENT,
            Char(character::MIN, 3),
            Type(b"ab"),
            Events,
            Type(b"c"),
            Events,
            Drain,
        ],
    ),
    (
        "with a timer one byte makes it readable",
        &[
            ICANON,
            SILENT,
            Char(character::MIN, 3),
            Char(character::TIME, 5),
            Type(b"a"),
            Events,
            Drain,
        ],
    ),
    (
        "what is edited can be read once lines are not",
        &[Type(b"abc"), ICANON, Count, Read(10)],
    ),
    (
        "an end can be read once lines are not",
        &[Type(b"abc\x04"), ICANON, Count, Read(10)],
    ),
    (
        "what was typed is a line once lines are edited",
        &[
            ICANON,
            Type(b"ab"),
            LINES,
            Count,
            Read(10),
            Type(b"c\n"),
            Read(10),
        ],
    ),
    (
        "what was typed is one line with its newlines",
        &[ICANON, Type(b"a\nb"), LINES, Read(10), Read(10)],
    ),
    (
        "stop and start",
        &[
            Type(b"\x13"),
            Print(b"lost?"),
            Events,
            Take,
            Type(b"\x11"),
            Print(b"out"),
            Take,
        ],
    ),
    (
        "typed while stopped",
        &[Type(b"\x13ab\n"), Take, Type(b"\x11"), Drain, Take],
    ),
    (
        "any character starts",
        &[
            On(I, InputFlags::IXANY.bits()),
            Type(b"\x13"),
            Print(b"x"),
            Type(b"a\n"),
            Print(b"y"),
        ],
    ),
    (
        "an interrupt starts",
        &[Type(b"\x13"), Type(b"\x03"), Print(b"y")],
    ),
    (
        "without `IXON` nothing stops",
        &[
            Off(I, InputFlags::IXON.bits()),
            Type(b"\x13\x11\n"),
            Print(b"x"),
        ],
    ),
    (
        "turning `IXON` off starts",
        &[Type(b"\x13"), Off(I, InputFlags::IXON.bits()), Print(b"x")],
    ),
    (
        "programs stop and start output",
        &[
            Flow(Flow::StopOutput),
            Print(b"x"),
            Take,
            Flow(Flow::StartOutput),
            Print(b"y"),
        ],
    ),
    (
        "programs stop and start input",
        &[Flow(Flow::StopInput), Flow(Flow::StartInput), Take],
    ),
    (
        "input is flushed",
        &[
            Type(b"line\npart"),
            Flush(Queue::Input),
            Count,
            Type(b"x\n"),
        ],
    ),
    (
        "both are flushed",
        &[
            Print(b"printed"),
            Type(b"line\npart"),
            Flush(Queue::Both),
            Type(b"x\n"),
        ],
    ),
    (
        "a line as long as may be",
        &[
            SILENT,
            TypeMany(b'a', 4095),
            Type(b"\n"),
            Count,
            Read(5000),
            Read(10),
        ],
    ),
    (
        "a line that is too long",
        &[
            SILENT,
            TypeMany(b'a', 4094),
            Type(b"bcdefg\n"),
            Count,
            Read(5000),
            Read(10),
        ],
    ),
    (
        "a line that is too long, erased",
        &[
            SILENT,
            TypeMany(b'a', 4096),
            Type(b"b\x7f\x7fc\n"),
            Count,
            Read(5000),
            Read(10),
        ],
    ),
    (
        "lines behind a full buffer wait",
        &[
            SILENT,
            Type(b"first\n"),
            TypeMany(b'a', 5000),
            Type(b"\n"),
            Read(100),
            Drain,
        ],
    ),
    (
        "bytes behind a full buffer wait",
        &[
            RAW[0],
            RAW[1],
            RAW[2],
            TypeMany(b'a', 6000),
            Type(b"end"),
            Read(100),
            Drain,
        ],
    ),
    (
        "a full line is echoed",
        &[TypeMany(b'a', 4100), Type(b"\n"), Drain],
    ),
    (
        "the master of a closed slave",
        &[
            Print(b"last"),
            CloseSlave,
            TakeOnce(2),
            TakeOnce(10),
            TakeOnce(10),
        ],
    ),
    (
        "the slave of a closed master",
        &[Type(b"typed\n"), CloseMaster, Events, Read(10), Print(b"x")],
    ),
    (
        "packets",
        &[
            Packets,
            Print(b"abc"),
            TakeOnce(2),
            TakeOnce(10),
            TakeOnce(10),
        ],
    ),
    (
        "packets tell of stops",
        &[
            Packets,
            Type(b"\x13"),
            TakeOnce(10),
            Type(b"\x11"),
            TakeOnce(10),
            TakeOnce(10),
        ],
    ),
    (
        "packets tell of flushes and of who stops",
        &[
            Packets,
            Flush(Queue::Input),
            TakeOnce(10),
            Off(I, InputFlags::IXON.bits()),
            TakeOnce(10),
            TakeOnce(10),
        ],
    ),
];
