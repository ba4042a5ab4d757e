//! What a document must look like: made from the JSON schema that schemars makes from a Rust type, so that
//! the type stays the only source. It knows as much of JSON schema as our types need, and says so
//! (by a panic in every test) when a type needs more.

use regex_lite::Regex;
use schemars::{JsonSchema, Schema, generate::SchemaSettings, transform};
use serde_json::{Map, Value};

/// What a value must be.
#[derive(Debug)]
pub enum Shape {
    /// A map with these keys and no others.
    Struct(Vec<Key>),
    /// A map with keys of the user's choice.
    Map {
        key: Option<Text>,
        value: Box<Shape>,
    },
    List(Box<Shape>),
    /// A map with exactly one of these keys, which says what kind of thing it is.
    Union(Vec<(String, Shape)>),
    /// One of these words or numbers, as one would write them.
    Choice {
        allowed: Vec<String>,
        numbers: bool,
        other_names: Vec<(String, String)>,
    },
    /// Text, a whole number, or either.
    Scalar {
        text: Option<Text>,
        integer: Option<(i128, i128)>,
    },
    Bool,
}

#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub shape: Shape,
    pub required: bool,
}

/// Which text is well-formed.
#[derive(Debug)]
pub struct Text {
    pub pattern: Option<Regex>,
    /// Goes behind "expected".
    pub wanted: String,
}

impl Text {
    pub fn accepts(&self, text: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    }
}

impl Shape {
    /// The shape of a type.
    pub fn of<T: JsonSchema>() -> Shape {
        let schema = json_schema::<T>();
        let definitions = schema.get("definitions").and_then(Value::as_object).cloned().unwrap_or_default();
        compile(schema.as_value(), &definitions)
    }
}

/// The JSON schema of a type, for editors: draft 7, which the most of them know. There is no null in it: an
/// optional key is left out, not left empty.
pub fn json_schema<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    drop_null(&mut schema);
    schema
}

fn drop_null(schema: &mut Schema) {
    transform::transform_subschemas(&mut drop_null, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(alternatives)) = object.get_mut("anyOf") else { return };
    alternatives.retain(|alternative| alternative.get("type") != Some(&Value::from("null")));
    if let [only] = alternatives.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        match only {
            // Draft 7 ignores what stands beside a reference; its reader would lose the description.
            Value::Object(only) if object.is_empty() => *object = only,
            only => _ = object.insert("allOf".to_owned(), Value::Array(vec![only])),
        }
    }
}

fn compile(schema: &Value, definitions: &Map<String, Value>) -> Shape {
    let inner = |schema| compile(schema, definitions);
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches("#/definitions/");
        return inner(&definitions[name]);
    }
    if let Some([only]) = schema["allOf"].as_array().map(Vec::as_slice) {
        return inner(only);
    }
    if let Some(alternatives) = schema["oneOf"].as_array() {
        return one_of(alternatives, definitions);
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return choice(allowed, schema);
    }
    if let Some(object) = schema["patternProperties"].as_object() {
        let (pattern, value) = object.iter().next().expect("a map type has one pattern for its keys");
        return Shape::Map { key: Some(text(Some(pattern), schema)), value: Box::new(inner(value)) };
    }
    match &schema["type"] {
        Value::String(kind) if kind == "object" => object(schema, definitions),
        Value::String(kind) if kind == "array" => Shape::List(Box::new(inner(&schema["items"]))),
        Value::String(kind) if kind == "boolean" => Shape::Bool,
        Value::String(kind) => scalar(schema, &[kind.as_str()]),
        Value::Array(kinds) => scalar(schema, &kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
        _ => unreachable!("no type in this tool has the schema {schema}"),
    }
}

fn object(schema: &Value, definitions: &Map<String, Value>) -> Shape {
    if schema["additionalProperties"].is_object() {
        let value = compile(&schema["additionalProperties"], definitions);
        return Shape::Map { key: None, value: Box::new(value) };
    }
    assert_eq!(schema["additionalProperties"], false, "a type lacks deny_unknown_fields: {schema}");
    let is_required = |name: &str| {
        schema["required"].as_array().is_some_and(|required| required.iter().any(|other| other == name))
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    let keys = properties.map(|(name, schema)| Key {
        name: name.clone(),
        shape: compile(schema, definitions),
        required: is_required(name),
    });
    Shape::Struct(keys.collect())
}

/// A Rust enum: of unit variants (with a doc comment each), or of variants with a value (single-key maps).
fn one_of(alternatives: &[Value], definitions: &Map<String, Value>) -> Shape {
    if alternatives.iter().all(|alternative| alternative["type"] == "string") {
        let constant = |alternative: &Value| match &alternative["enum"] {
            Value::Array(several) => several.clone(),
            _ => vec![alternative["const"].clone()],
        };
        let allowed: Vec<_> = alternatives.iter().flat_map(constant).collect();
        return choice(&allowed, &Value::Null);
    }
    let variant = |alternative: &Value| {
        let properties = alternative["properties"].as_object().expect("a variant is a map of one key");
        let (tag, schema) = properties.iter().next().expect("a variant has a tag");
        (tag.clone(), compile(schema, definitions))
    };
    Shape::Union(alternatives.iter().map(variant).collect())
}

fn choice(allowed: &[Value], schema: &Value) -> Shape {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let others = schema["x-other-names"].as_object().into_iter().flatten();
    Shape::Choice {
        allowed: allowed.iter().map(word).collect(),
        numbers: allowed.iter().all(Value::is_number),
        other_names: others.map(|(other, name)| (other.clone(), word(name))).collect(),
    }
}

fn scalar(schema: &Value, kinds: &[&str]) -> Shape {
    let known = kinds.iter().all(|kind| ["string", "integer"].contains(kind));
    assert!(known && !kinds.is_empty(), "no type in this tool has the schema {schema}");
    let limit = |key: &str| schema[key].as_number().and_then(|limit| limit.as_i128());
    let integer = (limit("minimum").unwrap_or(0), limit("maximum").unwrap_or(u64::MAX.into()));
    Shape::Scalar {
        text: kinds.contains(&"string").then(|| text(schema["pattern"].as_str(), schema)),
        integer: kinds.contains(&"integer").then_some(integer),
    }
}

fn text(pattern: Option<&str>, schema: &Value) -> Text {
    let wanted = schema["patternErrorMessage"].as_str().unwrap_or("expected text");
    Text {
        pattern: pattern.map(|pattern| Regex::new(pattern).expect("patterns of our types are valid")),
        wanted: wanted.trim_start_matches("expected ").to_owned(),
    }
}
