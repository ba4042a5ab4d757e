//! The JSON schemas: those under profiles/schema/, by which editors complete and check the YAML files, and that of the
//! manifest, for whoever reads one.

use document::json_schema;
use schemars::JsonSchema;

use super::{
    builder::{BuilderFile, BuilderLock},
    types::{Pins, Profile, Recipe},
};
use crate::kernel::lint::RulesFile;

/// Path relative to the project and content of each schema file.
pub fn schemas() -> Vec<(&'static str, String)> {
    vec![
        ("docs/manifest.schema.json", release::manifest::schema()),
        ("profiles/schema/builder.lock.schema.json", text::<BuilderLock>()),
        ("profiles/schema/builder.schema.json", text::<BuilderFile>()),
        ("profiles/schema/pins.schema.json", text::<Pins>()),
        ("profiles/schema/profile.schema.json", text::<Profile>()),
        ("profiles/schema/recipe.schema.json", text::<Recipe>()),
        ("profiles/schema/rules.schema.json", text::<RulesFile>()),
    ]
}

fn text<T: JsonSchema>() -> String {
    let schema = json_schema::<T>();
    // A schema is a JSON value already; printing one can't fail.
    format!("{:#}\n", schema.as_value())
}
