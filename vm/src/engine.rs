//! What an engine is.

use std::any::Any;

/// A program made ready by an engine.
pub trait Image: Any + Send + Sync {
    /// For the engine that made it.
    fn as_any(&self) -> &dyn Any;
}
