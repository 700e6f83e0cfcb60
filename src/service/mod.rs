//! What users write and call: services, clients, contexts, errors.
