//! Why a call was refused.

use crate::check::verdict::Status;
use crate::sys::memory::OutOfMemory;

/// Why a call was refused, with nothing sent. It says nothing of a target, so it can be neither "up" nor "down".
/// Its number is that of the [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum Error {
    /// A bad argument.
    Invalid = -1,
    /// Not an address; "host:port" was expected.
    BadAddress = -2,
    /// This machine cannot do it now: no descriptor, no thread, no memory.
    LocalFault = -4,
    /// The checker was shut down.
    Closed = -6,
    /// The checker belongs to the parent process.
    Forked = -7,
    /// A blocking call made from one of the checker's own callbacks.
    Deadlock = -8,
    /// Not on this platform, or not with these privileges.
    Unsupported = -10,
    /// A defect of the library; the process goes on.
    Internal = -11,
}

impl Error {
    /// The error in words.
    pub fn text(self) -> &'static str {
        Status::from(self).text()
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::Invalid => Status::Invalid,
            Error::BadAddress => Status::BadAddress,
            Error::LocalFault => Status::LocalFault,
            Error::Closed => Status::Closed,
            Error::Forked => Status::Forked,
            Error::Deadlock => Status::Deadlock,
            Error::Unsupported => Status::Unsupported,
            Error::Internal => Status::Internal,
        }
    }
}

/// A verdict is no error: whoever makes one of it has a defect, which [`Error::Internal`] says.
impl From<Status> for Error {
    fn from(status: Status) -> Error {
        match status {
            Status::Invalid => Error::Invalid,
            Status::BadAddress => Error::BadAddress,
            Status::LocalFault => Error::LocalFault,
            Status::Closed => Error::Closed,
            Status::Forked => Error::Forked,
            Status::Deadlock => Error::Deadlock,
            Status::Unsupported => Error::Unsupported,
            _ => Error::Internal,
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Error {
        Error::LocalFault
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Status::from(*self).fmt(formatter)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_status_with_its_number_and_its_words() {
        for status in Status::ALL {
            let error = Error::from(status);
            if Status::from(error) != status {
                assert_eq!(error, Error::Internal, "{status:?} is no error");
                continue;
            }
            assert_eq!(error as i32, status as i32);
            assert_eq!((error.text(), error.to_string()), (status.text(), status.to_string()));
            assert!(!error.text().is_empty() && !error.text().contains('\0'), "{error:?}");
        }
        assert_eq!(Error::from(Status::Up), Error::Internal);
    }
}
