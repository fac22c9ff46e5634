//! What a request asks for.
//!
//! Owns the names of both revisions, 0.3 and 1.0, and where each has a task and a context.

use std::borrow::Cow;

use gateway_json_rpc::{Fault, only};
use gateway_model_protocols::json::Raw;
use serde::{Deserialize, Serialize};

/// An operation, by its name of 1.0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// The card without a call.
    Card,
    SendMessage,
    SendStreamingMessage,
    GetTask,
    ListTasks,
    CancelTask,
    SubscribeToTask,
    CreateTaskPushNotificationConfig,
    GetTaskPushNotificationConfig,
    ListTaskPushNotificationConfigs,
    DeleteTaskPushNotificationConfig,
    GetExtendedAgentCard,
    #[default]
    Other,
}

/// Each with its names of 1.0 and of 0.3.
const NAMES: [(Operation, &str, &str); 11] = [
    (Operation::SendMessage, "SendMessage", "message/send"),
    (Operation::SendStreamingMessage, "SendStreamingMessage", "message/stream"),
    (Operation::GetTask, "GetTask", "tasks/get"),
    (Operation::ListTasks, "ListTasks", "tasks/list"),
    (Operation::CancelTask, "CancelTask", "tasks/cancel"),
    (Operation::SubscribeToTask, "SubscribeToTask", "tasks/resubscribe"),
    (
        Operation::CreateTaskPushNotificationConfig,
        "CreateTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/set",
    ),
    (
        Operation::GetTaskPushNotificationConfig,
        "GetTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/get",
    ),
    (
        Operation::ListTaskPushNotificationConfigs,
        "ListTaskPushNotificationConfigs",
        "tasks/pushNotificationConfig/list",
    ),
    (
        Operation::DeleteTaskPushNotificationConfig,
        "DeleteTaskPushNotificationConfig",
        "tasks/pushNotificationConfig/delete",
    ),
    (Operation::GetExtendedAgentCard, "GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"),
];

/// A task and a context.
type About<'a> = (Option<Cow<'a, str>>, Option<Cow<'a, str>>);

impl Operation {
    pub(crate) fn of(method: &str) -> Self {
        let known = NAMES.iter().find(|(_, new, old)| method == *new || method == *old);
        known.map_or(Self::Other, |(operation, ..)| *operation)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Other => "other",
            _ => NAMES.iter().find(|(it, ..)| *it == self).map_or("other", |(_, name, _)| name),
        }
    }

    /// Whether its answer is a stream that stays open.
    pub(crate) fn is_subscription(self) -> bool {
        self == Self::SubscribeToTask
    }

    /// The task and the context that a request is about.
    pub(crate) fn about(self, params: Option<Raw<'_>>) -> Result<About<'_>, Fault> {
        let Some(params) = params else { return Ok((None, None)) };
        Ok(match self {
            Self::SendMessage | Self::SendStreamingMessage => {
                let [message] = only(params, ["message"])?;
                let Some(message) = message else { return Ok((None, None)) };
                let [task, context] = only(message, ["taskId", "contextId"])?;
                (task.and_then(Raw::str), context.and_then(Raw::str))
            }
            Self::GetTask | Self::CancelTask | Self::SubscribeToTask => {
                (only(params, ["id"])?[0].and_then(Raw::str), None)
            }
            _ => {
                let [task, context] = only(params, ["taskId", "contextId"])?;
                (task.and_then(Raw::str), context.and_then(Raw::str))
            }
        })
    }
}
