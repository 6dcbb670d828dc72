//! What goes over the wire, apart from what the library calls the same things.

mod delivery;
mod endpoint;
mod endpoint_definition;
mod event;
mod event_type;
mod key;
mod numbers;
mod page;
mod secret_input;
mod time;

pub(super) use self::delivery::{AttemptView, DeliveryView, ResponseView, told};
pub(super) use self::endpoint::{EndpointView, PreviousView};
pub(super) use self::endpoint_definition::EndpointDefinition;
pub(super) use self::event::EventView;
pub(super) use self::event_type::{EventTypeView, ImportView, definition};
pub(super) use self::key::{KeyPatch, KeyRequest, KeyView, NewKey};
pub(super) use self::numbers::{AttemptsView, CountsView, NumbersView, SeriesView, WorkerView};
pub(super) use self::page::PageView;
pub(super) use self::time::millis;
