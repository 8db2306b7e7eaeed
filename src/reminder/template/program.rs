//! One checked body as the template engine runs it.
//!
//! The engine is minijinja, which sees only what `syntax.rs` lets through: no function, no global and no filter
//! but ours, no other template, and a limited number of steps. Fields come to it as `p3` (an opaque value to
//! print) and `c3` (a plain value to judge a condition by).

use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, ObjectRepr, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

use super::RenderError;
use super::cell::{Content, Manner, Marked, print, spans};
use super::fields::{FieldName, Fields};
use super::filters::{Argument, Filter};
use super::syntax::{Checked, Fault};
use super::value::Dirt;

/// Steps of the engine for one text: without loops a body of 4 kB takes fewer than 3,000.
const FUEL: u64 = 20_000;
const NAME: &str = "body";

/// Ours, and nothing of the engine's own.
static BARE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut bare = Environment::empty();
    bare.set_undefined_behavior(UndefinedBehavior::Strict);
    bare.set_fuel(Some(FUEL));
    bare.set_formatter(format);
    for filter in Filter::ALL {
        bare.add_filter(filter.as_str(), move |cell: Value, argument: Option<Value>| {
            applied(filter, &cell, argument.as_ref())
        });
    }
    bare
});

#[derive(Debug)]
pub struct Program {
    environment: Environment<'static>,
    names: Arc<[FieldName]>,
    pub checked: Checked,
}

impl Program {
    /// # Errors
    /// [`Fault::Syntax`] where tags do not nest or a condition is not whole.
    pub fn new(checked: Checked) -> Result<Program, Fault> {
        let mut environment = BARE.clone();
        environment.add_template_owned(NAME, checked.source.clone()).map_err(|error| fault(&error))?;
        Ok(Program { environment, names: checked.fields.as_slice().into(), checked })
    }

    /// # Errors
    /// [`RenderError`] of a field, or [`RenderError::Engine`].
    pub fn run(&self, fields: &Fields, manner: Manner) -> Result<Marked, RenderError> {
        for name in &self.checked.compared {
            readable(name, fields)?;
        }
        let context = Context { fields: fields.clone(), names: self.names.clone(), manner };
        let template = self.environment.get_template(NAME).map_err(|error| reason(&error))?;
        let output = template.render(Value::from_object(context)).map_err(|error| reason(&error))?;
        Ok(spans(&output))
    }
}

/// What is compared must be there, or the condition would silently go one way.
fn readable(name: &FieldName, fields: &Fields) -> Result<(), RenderError> {
    let field = || name.clone();
    match Content::of(name, fields) {
        content if content.is_absent() => Err(RenderError::Missing { field: field() }),
        Content::WrongKind => Err(RenderError::WrongKind { field: field() }),
        Content::Dirty(Dirt::Bidi) => Err(RenderError::Bidi { field: field() }),
        Content::Dirty(Dirt::TooLong) => Err(RenderError::ValueTooLong { field: field() }),
        _ => Ok(()),
    }
}

fn fault(error: &Error) -> Fault {
    let why = error.detail().unwrap_or("the tags do not fit each other").to_owned();
    Fault::Syntax { line: error.line().unwrap_or(1), why }
}

/// Our own error inside the engine's, where there is one.
fn reason(error: &Error) -> RenderError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(ours) = inner.downcast_ref::<RenderError>() {
            return ours.clone();
        }
        source = inner.source();
    }
    RenderError::Engine { why: error.to_string() }
}

fn ours(error: RenderError) -> Error {
    Error::new(ErrorKind::InvalidOperation, "a value cannot be printed").with_source(error)
}

#[derive(Debug)]
struct Context {
    fields: Fields,
    names: Arc<[FieldName]>,
    manner: Manner,
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let number: usize = key.get(1..)?.parse().ok()?;
        let content = Content::of(self.names.get(number)?, &self.fields);
        if key.starts_with('c') {
            return Some(judged(content));
        }
        Some(Value::from_object(Cell { content, number, context: self.clone() }))
    }
}

/// A value to judge a condition by: amounts in whole units, dates as they sort.
fn judged(content: Content) -> Value {
    if content.is_absent() {
        return Value::from(false);
    }
    match content {
        Content::Text(text) | Content::Literal(text) | Content::Link(text) => Value::from(text),
        Content::Money(amount) | Content::Amount(amount, _) => {
            let unit = 10_f64.powi(amount.currency().digits() as i32);
            Value::from(amount.minor() as f64 / unit)
        }
        Content::Date(date) => Value::from(date.to_string()),
        Content::Number(number) => Value::from(number),
        // It is there; whoever prints it says what is wrong with it.
        Content::Absent | Content::WrongKind | Content::Dirty(_) => Value::from(true),
    }
}

#[derive(Debug)]
struct Cell {
    content: Content,
    number: usize,
    context: Arc<Context>,
}

impl Object for Cell {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

fn cell(value: &Value) -> Result<&Cell, Error> {
    let foreign = || Error::new(ErrorKind::InvalidOperation, "only fields are printed");
    value.downcast_object_ref::<Cell>().ok_or_else(foreign)
}

fn applied(filter: Filter, value: &Value, argument: Option<&Value>) -> Result<Value, Error> {
    let Cell { content, number, context } = cell(value)?;
    let argument = match argument {
        None => Argument::None,
        Some(value) => match value.as_str() {
            Some(text) => Argument::Text(text),
            None => Argument::Number(value.as_usize().unwrap_or(0)),
        },
    };
    let content = filter.apply(content.clone(), argument, context.manner.locale);
    Ok(Value::from_object(Cell { content, number: *number, context: context.clone() }))
}

fn format(output: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    let Cell { content, number, context } = cell(value)?;
    let Some(name) = context.names.get(*number) else { return Ok(()) };
    let text = print(content, *number, name, context.manner).map_err(ours)?;
    output.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is full"))
}
