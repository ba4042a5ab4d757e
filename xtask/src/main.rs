mod document;

fn main() {}
