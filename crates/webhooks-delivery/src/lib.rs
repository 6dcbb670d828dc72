//! Sends webhooks: the dispatcher and what it works with.

mod attempt;
mod claimer;
mod clock;
mod committer;
mod directory;
mod dispatcher;
mod heartbeat;
mod lane;
mod load;
mod metrics;
mod notice;
mod pipeline;
mod pulse;
mod queue;
mod recorder;
mod retrying;
mod settings;
mod suspects;

pub use self::metrics::{AttemptMetrics, EndpointMetrics, Metrics};
pub use self::notice::{Notice, NoticeStream, Settlement};
pub use self::pipeline::{Pipeline, Send, Sent};
pub use self::queue::WebhookQueue;
pub use self::settings::Settings;
