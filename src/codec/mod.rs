//! Types to bytes and back: the codec seam, and descriptions of types.
