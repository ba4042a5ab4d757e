//! A checked document as a value of its Rust type, through serde. Whatever fails here, fails at the place
//! of the innermost value; after a clean check nothing should.

use std::fmt;

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, IntoDeserializer, value::StrDeserializer},
    forward_to_deserialize_any,
};

use super::{
    node::{Entry, Node, Value},
    problem::{Origin, Problem},
};

impl Node {
    /// The value that this document describes.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        T::deserialize(self).map_err(|error: Failure| {
            Problem::new(error.origin.unwrap_or_else(|| self.origin.clone()), error.message)
        })
    }
}

/// Why a value doesn't fit, and where: set once, by the innermost value.
#[derive(Debug)]
pub struct Failure {
    message: String,
    origin: Option<Origin>,
}

impl Failure {
    fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Failure { message: message.to_string(), origin: None }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Failure;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let value = match &self.value {
            Value::Null | Value::Refused => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(text) => match self.value.integer().map(u64::try_from) {
                Some(Ok(number)) => visitor.visit_u64(number),
                _ => Err(de::Error::custom(format!("the number `{text}` is none that is wanted anywhere"))),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items(items)),
            Value::Map(entries) => visitor.visit_map(Pairs { entries, value: None }),
        };
        value.map_err(|error| error.at(&self.origin))
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let variant = match &self.value {
            Value::String(text) => Variant { tag: text, value: None },
            Value::Map(entries) if entries.len() == 1 => {
                Variant { tag: &entries[0].key, value: Some(&entries[0].node) }
            }
            _ => return Err(<Failure as de::Error>::custom("expected a map with one key").at(&self.origin)),
        };
        visitor.visit_enum(variant).map_err(|error| error.at(&self.origin))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de>(&'de [Node]);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Failure;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failure> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(None) };
        self.0 = rest;
        seed.deserialize(first).map(Some).map_err(|error| error.at(&first.origin))
    }
}

struct Pairs<'de> {
    entries: &'de [Entry],
    value: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Pairs<'de> {
    type Error = Failure;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((first, rest)) = self.entries.split_first() else { return Ok(None) };
        self.entries = rest;
        self.value = Some(&first.node);
        let key: StrDeserializer<Failure> = first.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.at(&first.key_origin))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let node =
            self.value.take().ok_or_else(|| <Failure as de::Error>::custom("a value before its key"))?;
        seed.deserialize(node).map_err(|error| error.at(&node.origin))
    }
}

struct Variant<'de> {
    tag: &'de str,
    value: Option<&'de Node>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let tag: StrDeserializer<Failure> = self.tag.into_deserializer();
        Ok((seed.deserialize(tag)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(de::Error::custom(format!("`{}` takes no value", self.tag))),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        let missing = || <Failure as de::Error>::custom(format!("`{}` needs a value", self.tag));
        seed.deserialize(self.value.ok_or_else(missing)?)
    }

    fn tuple_variant<V: de::Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Failure> {
        Err(de::Error::custom("no document has such a variant"))
    }

    fn struct_variant<V: de::Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Failure> {
        Err(de::Error::custom("no document has such a variant"))
    }
}
