//! The two clients of a service.

use proc_macro2::TokenStream;
use quote::quote;

use super::{caller_attributes, named};
use crate::model::{Argument, Method, Service};

/// The clients as types.
pub(super) fn definitions(service: &Service) -> TokenStream {
    let Service { visibility, name, .. } = service;
    let (client, blocking) = (named(service, "Client"), named(service, "BlockingClient"));
    let client_docs = format!("Calls a [`{name}`] over a session. Clones are cheap and share the session.");
    let blocking_docs =
        format!("Calls a [`{name}`] over a session, on the calling thread and without a runtime.");
    quote! {
        #[doc = #client_docs]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[allow(dead_code)]
        #visibility struct #client {
            connection: ::transom::Connection,
        }

        #[doc = #blocking_docs]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #[allow(dead_code)]
        #visibility struct #blocking {
            connection: ::transom::Connection,
            options: ::transom::CallOptions,
        }
    }
}

/// What the clients do.
pub(super) fn implementations(service: &Service) -> TokenStream {
    let visibility = &service.visibility;
    let (client, blocking) = (named(service, "Client"), named(service, "BlockingClient"));
    let calls = service.methods.iter().map(|method| call(service, method));
    let blocking_calls = service.methods.iter().map(|method| blocking_call(service, method));
    quote! {
        impl #client {
            #(#calls)*
        }

        impl ::transom::Client for #client {
            const DESCRIPTOR: &'static ::transom::Descriptor = &__DESCRIPTOR;

            fn new(connection: ::transom::Connection) -> Self {
                Self { connection }
            }

            fn connection(&self) -> &::transom::Connection {
                &self.connection
            }
        }

        impl #blocking {
            /// The same client with these options for every call.
            #[must_use]
            #visibility fn with(&self, options: ::transom::CallOptions) -> Self {
                Self { connection: ::core::clone::Clone::clone(&self.connection), options }
            }

            #(#blocking_calls)*
        }

        impl ::transom::Client for #blocking {
            const DESCRIPTOR: &'static ::transom::Descriptor = &__DESCRIPTOR;

            fn new(connection: ::transom::Connection) -> Self {
                Self { connection, options: ::core::default::Default::default() }
            }

            fn connection(&self) -> &::transom::Connection {
                &self.connection
            }
        }
    }
}

fn call(service: &Service, method: &Method) -> TokenStream {
    let visibility = &service.visibility;
    let Method { name, arguments_name, .. } = method;
    let attributes = caller_attributes(method);
    let parameters = method.arguments.iter().map(|Argument { name, named, .. }| quote!(#name: #named));
    let names = method.arguments.iter().map(|argument| &argument.name);
    let life = method.borrows().then(|| quote!(<'__a>));
    quote! {
        #(#attributes)*
        #[inline]
        #visibility fn #name<'__a>(&'__a self, #(#parameters),*) -> ::transom::Call<'__a, #arguments_name #life> {
            ::transom::__private::call(&self.connection, #arguments_name { #(#names),* })
        }
    }
}

fn blocking_call(service: &Service, method: &Method) -> TokenStream {
    let visibility = &service.visibility;
    let Method { name, arguments_name, output, .. } = method;
    let attributes = caller_attributes(method);
    let parameters = method.arguments.iter().map(|Argument { name, declared, .. }| quote!(#name: #declared));
    let names = method.arguments.iter().map(|argument| &argument.name);
    let error = method.error.iter();
    quote! {
        #(#attributes)*
        ///
        /// # Errors
        /// `CallError` says how the call failed.
        #[inline]
        #visibility fn #name(
            &self,
            #(#parameters),*
        ) -> ::core::result::Result<#output, ::transom::CallError #(<#error>)*> {
            ::transom::__private::call_blocking(&self.connection, &self.options, #arguments_name { #(#names),* })
        }
    }
}
