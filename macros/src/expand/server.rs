//! The server: from requests to the methods of the trait.

use proc_macro2::TokenStream;
use quote::quote;

use super::{codec, named};
use crate::model::{Method, Service};

/// The server as a type.
pub(super) fn definition(service: &Service) -> TokenStream {
    let Service { visibility, name, .. } = service;
    let server = named(service, "Server");
    let docs = format!("Serves a [`{name}`]. Clones are cheap and share the service.");
    quote! {
        #[doc = #docs]
        #[allow(dead_code)]
        #visibility struct #server<__S> {
            service: ::std::sync::Arc<__S>,
        }
    }
}

/// What the server does.
pub(super) fn implementations(service: &Service) -> TokenStream {
    let Service { visibility, name, methods, .. } = service;
    let server = named(service, "Server");
    let handlers = methods.iter().enumerate().map(|(at, method)| handler(service, at, method));
    let place = if methods.is_empty() { quote!(_place) } else { quote!(__place) };
    quote! {
        impl<__S: #name> #server<__S> {
            /// Serves `service`.
            #visibility fn new(service: __S) -> Self {
                Self { service: ::std::sync::Arc::new(service) }
            }

            /// Serves a service that others hold too.
            #visibility fn shared(service: ::std::sync::Arc<__S>) -> Self {
                Self { service }
            }
        }

        impl<__S> ::core::clone::Clone for #server<__S> {
            fn clone(&self) -> Self {
                Self { service: ::core::clone::Clone::clone(&self.service) }
            }
        }

        impl<__S> ::core::fmt::Debug for #server<__S> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#server)).finish_non_exhaustive()
            }
        }

        impl<__S: #name> ::transom::Service for #server<__S> {
            fn descriptors(&self) -> ::std::vec::Vec<&'static ::transom::Descriptor> {
                ::std::vec![&__DESCRIPTOR]
            }

            fn method(&self, id: u64) -> ::core::option::Option<&'static ::transom::__private::Method> {
                __operation(id).map(|operation| &operation.method)
            }

            fn spawns(&self, id: u64) -> bool {
                __operation(id).is_some_and(|operation| operation.spawned)
            }

            fn start(
                &self,
                __call: ::transom::__private::Incoming,
                #place: ::transom::__private::Place<'_>,
            ) -> ::transom::__private::Started {
                match __call.method() {
                    #(#handlers)*
                    _ => __call.unknown(),
                }
            }
        }
    }
}

fn handler(service: &Service, at: usize, method: &Method) -> TokenStream {
    let trait_name = &service.name;
    let Method { name, id, arguments_name, output, .. } = method;
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    // The arguments keep their names only while they are unpacked, so that no name of a user's meets ours.
    let values: Vec<_> = (0..names.len()).map(|at| quote::format_ident!("__argument_{at}")).collect();
    let context = method.context.is_some().then(|| {
        quote! {
            let __context = __call.context(&__OPERATIONS[#at].method);
        }
    });
    let pass_context = method.context.is_some().then(|| quote!(&__context,));
    let attach = method.context.is_some().then(|| quote!(__call.attach(&__context);));
    let wait = method.is_async.then(|| quote!(.await));
    let output_codec = codec(output);
    let answer = match &method.error {
        Some(error) => {
            let error_codec = codec(error);
            quote! {
                match __result {
                    ::core::result::Result::Ok(__output) => __call.respond(#output_codec, &__output),
                    ::core::result::Result::Err(__error) => __call.fail(#error_codec, &__error),
                }
            }
        }
        None => quote!(__call.respond(#output_codec, &__result)),
    };
    quote! {
        #id => {
            let __service = ::core::clone::Clone::clone(&self.service);
            __place.put(async move {
                let mut __call = __call;
                #context
                let __channels = __call.channels();
                let #arguments_name { #(#names: #values),* } =
                    match __channels.bind(#arguments_name::__decode(__call.arguments())) {
                        ::core::result::Result::Ok(__arguments) => __arguments,
                        ::core::result::Result::Err(__error) => return __call.reject(&__error),
                    };
                let __result = <__S as #trait_name>::#name(&*__service, #pass_context #(#values),*) #wait;
                #attach
                #answer
            })
        }
    }
}
