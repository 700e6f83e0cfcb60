//! One thin safe function for each system call.
