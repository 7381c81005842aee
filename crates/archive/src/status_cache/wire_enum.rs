//! Enums with `u32` tags, written as a table of tags, names and payloads.

/// Declares an enum, its wire shape and its tags.
macro_rules! wire_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident as $what:literal {
            $(
                $(#[$variant_meta:meta])*
                $tag:literal $variant:ident
                $(($($item:ident: $item_type:ty),*))?
                $({ $($(#[$field_meta:meta])* $field:ident: $field_type:ty),* })?
            ,)*
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $(
                $(#[$variant_meta])*
                $variant $(($($item_type),*))? $({ $($(#[$field_meta])* $field: $field_type),* })?,
            )*
        }

        impl icecore_types::Wire for $name {
            fn decode(
                cursor: &mut icecore_types::Cursor<'_>,
            ) -> Result<Self, icecore_types::WireError> {
                Ok(match cursor.read::<u32>()? {
                    $($tag => Self::$variant
                        $(($(cursor.read::<$item_type>()?),*))?
                        $({ $($field: cursor.read::<$field_type>()?),* })?,)*
                    tag => {
                        return Err(icecore_types::WireError::Invalid {
                            what: $what,
                            value: tag.into(),
                        });
                    }
                })
            }

            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($item),*))? $({ $($field),* })? => {
                        icecore_types::Wire::encode(&($tag as u32), out);
                        $($(icecore_types::Wire::encode($item, out);)*)?
                        $($(icecore_types::Wire::encode($field, out);)*)?
                    })*
                }
            }
        }
    };
}

pub(super) use wire_enum;
