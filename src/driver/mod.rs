//! Running a session on a link.
