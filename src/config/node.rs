//! The tree of a parsed document before validation, which is the same for YAML, JSON and a protobuf `Struct`.

/// One value of a document and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The position of the first character of the value.
    pub at: Position,
    /// The value itself, with the nodes below it.
    pub value: Value,
}

/// A position in the text of a document. Line and column are 0 if the position is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
}

/// The value of a [`Node`]: any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, or a YAML key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number. A protobuf `Struct` contains only doubles; its whole numbers within ±2^53 become integers.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in document order. The parser refuses duplicate keys.
    Map(Vec<(MapKey, Node)>),
}

/// A key of a mapping and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapKey {
    /// The position of the first character of the key.
    pub at: Position,
    /// The key itself.
    pub text: String,
}

impl Node {
    /// Returns the type of this value in the words of error messages, such as `a mapping`.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Returns the value of this key. Returns `None` if the node is not a mapping or does not contain the key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Converts the tree to a JSON value, which has no positions.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => serde_json::Value::Bool(*b),
            Value::Number(n) => serde_json::Value::Number(n.clone()),
            Value::Text(t) => serde_json::Value::String(t.clone()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|(k, v)| (k.text.clone(), v.to_json())).collect(),
        }
    }
}

impl From<serde_json::Value> for Node {
    /// Builds a tree without positions, because a JSON value does not contain them.
    fn from(value: serde_json::Value) -> Node {
        use serde_json::Value as Json;
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => Value::Number(n),
            Json::String(s) => Value::Text(s),
            Json::Array(items) => Value::List(items.into_iter().map(Node::from).collect()),
            Json::Object(members) => Value::Map(
                members
                    .into_iter()
                    .map(|(text, v)| (MapKey { at: Position::default(), text }, Node::from(v)))
                    .collect(),
            ),
        };
        Node { at: Position::default(), value }
    }
}
