//! Calendar functions as guests call them.
//!
//! Times come in three forms: 3.1.6 passes a pointer to a `time_t`, newer versions pass the 64-bit
//! number itself, whole or split.

use minke_abi::{Errno, Result};
use wasmtime::Caller;

use super::calendar::{Moment, TM_BYTES};
use super::clocks::c_result;
use super::strftime;
use super::zone::Zone;
use crate::personality::emscripten::context::{Arguments, Context};
use crate::personality::emscripten::exports::allocate;
use crate::personality::emscripten::table::{Function, Kind, Pending, Returns, WORDS};
use crate::runtime::{Guest, GuestAddr};

/// Longest pattern or text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Where `struct tm` points to the name of its zone.
const TM_ZONE: u64 = 40;
/// Bytes of `asctime`'s result with its zero. POSIX: `asctime()`.
const ASCTIME_BYTES: usize = 26;
/// Bytes that newer versions keep for the name of a zone, with its zero.
const ZONE_NAME_BYTES: usize = 17;

/// What is different from glibc.
const ZONE: &str =
    "`TZ` in POSIX's form (`CET-1CEST,M3.5.0,M10.5.0/3`); names of zone files are UTC";
/// A number of seconds and a pointer.
const TIME_AND_POINTER: [Kind; 2] = [Kind::Long, Kind::Word];

pub(in crate::personality::emscripten) static FUNCTIONS: &[Function] = &[
    Function::library(
        "_gmtime_js",
        &TIME_AND_POINTER,
        Returns::Nothing,
        |caller, arguments| {
            let moment = Moment::from_seconds(arguments.long(0));
            put(caller, arguments.address(1), &moment)
        },
    ),
    Function::library(
        "_gmtime_js",
        WORDS[2],
        Returns::Nothing,
        |caller, arguments| {
            let seconds = read_time(caller, arguments.address(0))?;
            put(caller, arguments.address(1), &Moment::from_seconds(seconds))
        },
    ),
    Function::library(
        "_localtime_js",
        &TIME_AND_POINTER,
        Returns::Nothing,
        |caller, arguments| {
            let moment = zone_of(caller).local(arguments.long(0));
            put(caller, arguments.address(1), &moment)
        },
    )
    .partial(ZONE),
    Function::library(
        "_localtime_js",
        WORDS[2],
        Returns::Nothing,
        |caller, arguments| {
            let seconds = read_time(caller, arguments.address(0))?;
            let moment = zone_of(caller).local(seconds);
            put(caller, arguments.address(1), &moment)
        },
    )
    .partial(ZONE),
    Function::library(
        "_mktime_js",
        WORDS[1],
        Returns::Long,
        |caller, arguments| {
            let zone = zone_of(caller);
            normalize(caller, arguments.address(0), |moment| {
                let seconds = zone.seconds(moment);
                (seconds, zone.local(seconds))
            })
        },
    )
    .partial(ZONE),
    Function::library(
        "_timegm_js",
        WORDS[1],
        Returns::Long,
        |caller, arguments| {
            normalize(caller, arguments.address(0), |moment| {
                let seconds = moment.seconds();
                (seconds, Moment::from_seconds(seconds))
            })
        },
    ),
    Function::library("_tzset_js", WORDS[4], Returns::Nothing, tzset_into).partial(ZONE),
    Function::waiting("_tzset_js", WORDS[3], tzset_allocating)
        .without_result()
        .partial(ZONE),
    Function::library("__asctime_r", WORDS[2], Returns::Word, asctime),
    Function::library("strftime", WORDS[4], Returns::Word, strftime),
    Function::library("strftime_l", WORDS[5], Returns::Word, strftime).partial("the C locale only"),
    Function::library("strptime", WORDS[3], Returns::Word, strptime),
    Function::library("strptime_l", WORDS[4], Returns::Word, strptime).partial("the C locale only"),
];

fn zone_of(caller: &mut Caller<'_, Guest>) -> Zone {
    let guest = caller.data();
    guest.emscripten.zone.of(&guest.task).clone()
}

/// Tells the guest that it passed a pointer outside its memory, as JavaScript's heap views would.
fn wild_pointer(_: Errno) -> wasmtime::Error {
    wasmtime::Error::new(wasmtime::Trap::MemoryOutOfBounds)
}

fn read_time(caller: &mut Caller<'_, Guest>, address: GuestAddr) -> wasmtime::Result<i64> {
    let context = Context::of(caller);
    let width = context.layout().time_bytes();
    let bytes = context
        .memory
        .read_bytes(address, width as u64, width)
        .map_err(wild_pointer)?;
    Ok(match bytes.as_slice().try_into() {
        Ok(whole) => i64::from_le_bytes(whole),
        Err(_) => i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
    })
}

fn put(
    caller: &mut Caller<'_, Guest>,
    address: GuestAddr,
    moment: &Moment,
) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let written = context.memory.write(address, &moment.encode());
    written.map(|()| 0).map_err(wild_pointer)
}

fn read_moment(context: &Context<'_>, address: GuestAddr) -> Result<Moment> {
    let bytes: [u8; TM_BYTES] = context.memory.read_array(address)?;
    Ok(Moment::decode(&bytes))
}

/// Turns a broken-down time into seconds and puts its fields right.
fn normalize(
    caller: &mut Caller<'_, Guest>,
    address: GuestAddr,
    convert: impl FnOnce(&Moment) -> (i64, Moment),
) -> wasmtime::Result<i64> {
    let moment = read_moment(&Context::of(caller), address).map_err(wild_pointer)?;
    let (seconds, normal) = convert(&moment);
    put(caller, address, &normal)?;
    Ok(seconds)
}

/// The zone's names and numbers: standard name, summer's name, seconds west, whether there is a summer.
fn zone_facts(zone: &Zone) -> ([Vec<u8>; 2], u32, u32) {
    let c_string = |name: &str| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.truncate(ZONE_NAME_BYTES - 1);
        bytes.push(0);
        bytes
    };
    let summer = zone.summer.as_ref().map(|summer| &summer.period);
    let names = [
        c_string(&zone.standard.name),
        c_string(&summer.unwrap_or(&zone.standard).name),
    ];
    let west = -zone.standard.offset;
    (names, west.cast_unsigned(), u32::from(summer.is_some()))
}

/// Newer form: where to put seconds west, whether there is a summer, and the two names.
fn tzset_into(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let (names, west, has_summer) = zone_facts(&zone_of(caller));
    let memory = &mut Context::of(caller).memory;
    let written = memory
        .write_u32(arguments.address(0), west)
        .and_then(|()| memory.write_u32(arguments.address(1), has_summer))
        .and_then(|()| memory.write(arguments.address(2), &names[0]))
        .and_then(|()| memory.write(arguments.address(3), &names[1]));
    written.map(|()| 0).map_err(wild_pointer)
}

/// 3.1.6's form: the third pointer takes two addresses of names in memory taken from the guest's heap.
fn tzset_allocating(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Pending<'_> {
    Box::new(async move {
        let (names, west, has_summer) = zone_facts(&zone_of(&mut caller));
        let table = arguments.address(2);
        let memory = &mut Context::of(&mut caller).memory;
        let written = memory
            .write_u32(arguments.address(0), west)
            .and_then(|()| memory.write_u32(arguments.address(1), has_summer));
        written.map_err(wild_pointer)?;
        // The guest calls this before each use; the names are made once.
        if memory.read_u32(table).map_err(wild_pointer)? != 0 {
            return Ok(0);
        }
        for (slot, name) in names.iter().enumerate() {
            let Some(block) = allocate(&mut caller, name.len()).await? else {
                return Ok(0);
            };
            let memory = &mut Context::of(&mut caller).memory;
            let written = memory
                .write(block, name)
                .and_then(|()| memory.write_u32(table.offset(slot as u64 * 4), block.0 as u32));
            written.map_err(wild_pointer)?;
        }
        Ok(0)
    })
}

/// Formats as `Sun Sep 16 01:03:52 1973\n`.
fn asctime(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let moment = read_moment(&context, arguments.address(0)).map_err(wild_pointer)?;
    let text = strftime::format("%a %b %e %T %Y\n", &moment, "", ASCTIME_BYTES);
    let mut bytes = text.into_bytes();
    bytes.truncate(ASCTIME_BYTES - 1);
    bytes.push(0);
    let written = context.memory.write(arguments.address(1), &bytes);
    written.map_err(wild_pointer)?;
    Ok(i64::from(arguments.int(1)))
}

/// Buffer, its size, pattern, time; returns the length without the zero, or 0 when it does not fit.
fn strftime(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let room = arguments.word(1) as usize;
    let result = format_into(&mut context, arguments, room);
    Ok(c_result(caller, result).max(0))
}

fn format_into(context: &mut Context<'_>, arguments: &Arguments, room: usize) -> Result<i64> {
    let pattern = read_text(context, arguments.address(2))?;
    let time = arguments.address(3);
    let moment = read_moment(context, time)?;
    let zone = GuestAddr::from(context.memory.read_u32(time.offset(TM_ZONE))?);
    let zone = if zone.0 == 0 {
        "GMT".to_owned()
    } else {
        // A `tm` that nobody has filled has any pointer here.
        read_text(context, zone).unwrap_or_default()
    };
    let limit = room.min(TEXT_BYTES_MAX);
    let mut bytes = strftime::format(&pattern, &moment, &zone, limit).into_bytes();
    bytes.push(0);
    if bytes.len() > room {
        return Ok(0);
    }
    context.memory.write(arguments.address(0), &bytes)?;
    Ok(bytes.len() as i64 - 1)
}

fn read_text(context: &Context<'_>, address: GuestAddr) -> Result<String> {
    let bytes = context.memory.read_c_string(address, TEXT_BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Text, pattern, time; returns where the text was read to, or null when it does not match.
fn strptime(caller: &mut Caller<'_, Guest>, arguments: &Arguments) -> wasmtime::Result<i64> {
    let mut context = Context::of(caller);
    let time = arguments.address(2);
    let parsed = read_text(&context, arguments.address(0)).and_then(|text| {
        let pattern = read_text(&context, arguments.address(1))?;
        let mut moment = read_moment(&context, time)?;
        let read = strftime::parse(&text, &pattern, &mut moment);
        let (weekday, yearday) = derived(&moment);
        (moment.weekday, moment.yearday) = (weekday, yearday);
        Ok(read.map(|read| (read, moment)))
    });
    let Ok(Some((read, moment))) = parsed else {
        return Ok(0);
    };
    let written = context.memory.write(time, &moment.encode());
    written.map_err(wild_pointer)?;
    Ok(i64::from(arguments.word(0)) + read as i64)
}

/// Returns the weekday and the day of the year that belong to a date.
fn derived(moment: &Moment) -> (i32, i32) {
    let normal = Moment::from_seconds(moment.seconds());
    (normal.weekday, normal.yearday)
}
