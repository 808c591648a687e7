//! Numbers at byte offsets, and the table from which a structure's parser and writer are made.

/// A value that lies at an offset of a structure on disk.
///
/// The caller has checked that the bytes hold it: all offsets are constants below a size that was compared once.
pub(crate) trait Field: Sized {
    /// Reads a value of a little-endian structure.
    fn little(bytes: &[u8], at: usize) -> Self;
    /// Writes a value of a little-endian structure.
    fn put_little(&self, bytes: &mut [u8], at: usize);
    /// Reads a value of a big-endian structure.
    fn big(bytes: &[u8], at: usize) -> Self;
    /// Writes a value of a big-endian structure.
    fn put_big(&self, bytes: &mut [u8], at: usize);
}

macro_rules! number {
    ($type:ty) => {
        impl Field for $type {
            fn little(bytes: &[u8], at: usize) -> $type {
                <$type>::from_le_bytes(array(bytes, at))
            }

            fn put_little(&self, bytes: &mut [u8], at: usize) {
                bytes[at..at + size_of::<$type>()].copy_from_slice(&self.to_le_bytes());
            }

            fn big(bytes: &[u8], at: usize) -> $type {
                <$type>::from_be_bytes(array(bytes, at))
            }

            fn put_big(&self, bytes: &mut [u8], at: usize) {
                bytes[at..at + size_of::<$type>()].copy_from_slice(&self.to_be_bytes());
            }
        }
    };
}

number!(u8);
number!(u16);
number!(u32);
number!(u64);

impl<T: Field + Copy + Default, const N: usize> Field for [T; N] {
    fn little(bytes: &[u8], at: usize) -> [T; N] {
        std::array::from_fn(|index| T::little(bytes, at + index * size_of::<T>()))
    }

    fn put_little(&self, bytes: &mut [u8], at: usize) {
        for (index, value) in self.iter().enumerate() {
            value.put_little(bytes, at + index * size_of::<T>());
        }
    }

    fn big(bytes: &[u8], at: usize) -> [T; N] {
        std::array::from_fn(|index| T::big(bytes, at + index * size_of::<T>()))
    }

    fn put_big(&self, bytes: &mut [u8], at: usize) {
        for (index, value) in self.iter().enumerate() {
            value.put_big(bytes, at + index * size_of::<T>());
        }
    }
}

/// Returns the `N` bytes at `at`, which the caller knows to be there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

/// Reads a little-endian number.
pub(crate) fn get<T: Field>(bytes: &[u8], at: usize) -> T {
    T::little(bytes, at)
}

/// Writes a little-endian number.
pub(crate) fn put<T: Field + Copy>(bytes: &mut [u8], at: usize, value: T) {
    value.put_little(bytes, at);
}

/// Joins the halves of a 64-bit number.
pub(crate) fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Declares a structure by its fields' offsets, with `parse` and `write`, in the byte order that is named.
///
/// A field of two offsets is a `u64` whose lower half lies at the first and upper half at the second.
macro_rules! structure {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $size:literal bytes, $get:ident, $put:ident {
            $($(#[$field_meta:meta])* $at:literal $(+ $high:literal)? $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl $name {
            /// Size on disk in bytes.
            pub const SIZE_BYTES: usize = $size;

            fn read_fields(bytes: &[u8]) -> $name {
                $name {
                    $($field: structure!(@get $get, bytes, $at, $type $(, $high)?),)*
                }
            }

            /// Writes the fields into `bytes`, which hold at least [`Self::SIZE_BYTES`], and leaves what lies between them.
            fn write_fields(&self, bytes: &mut [u8]) {
                $(structure!(@put $put, bytes, $at, self.$field $(, $high)?);)*
            }
        }
    };
    (@get $get:ident, $bytes:ident, $at:literal, $type:ty) => {
        <$type as $crate::layout::fields::Field>::$get($bytes, $at)
    };
    (@get $get:ident, $bytes:ident, $at:literal, $type:ty, $high:literal) => {
        $crate::layout::fields::join(
            <u32 as $crate::layout::fields::Field>::$get($bytes, $at),
            <u32 as $crate::layout::fields::Field>::$get($bytes, $high),
        )
    };
    (@put $put:ident, $bytes:ident, $at:literal, $value:expr) => {
        $crate::layout::fields::Field::$put(&$value, $bytes, $at)
    };
    (@put $put:ident, $bytes:ident, $at:literal, $value:expr, $high:literal) => {
        $crate::layout::fields::Field::$put(&($value as u32), $bytes, $at);
        $crate::layout::fields::Field::$put(&(($value >> 32) as u32), $bytes, $high)
    };
}
pub(crate) use structure;
