//! The service as data.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;

use crate::kebab::kebab;
use crate::model::{Argument, Service};

/// The statics that generated code refers to.
pub(super) fn statics(service: &Service) -> TokenStream {
    let name = service.name.unraw().to_string();
    let (wire_service, docs) = (kebab(&name), &service.docs);
    let count = service.methods.len();
    let argument_names: Vec<_> = (0..count).map(|at| format_ident!("__ARGUMENTS_{at}")).collect();
    let argument_lists = service.methods.iter().zip(&argument_names).map(|(method, list)| {
        let count = method.arguments.len();
        let arguments = method.arguments.iter().map(|Argument { name, forever, .. }| {
            let name = name.unraw().to_string();
            let shape = shape(forever);
            quote!(::transom::Argument::new(#name, #shape))
        });
        quote!(static #list: [::transom::Argument; #count] = [#(#arguments),*];)
    });
    let operations = service.methods.iter().zip(&argument_names).enumerate().map(|(at, (method, list))| {
        let (id, spawn, docs) = (method.id, method.spawn, &method.docs);
        let idempotent = method.idempotent;
        let name = kebab(&method.name.unraw().to_string());
        let output = shape(&method.output);
        let error = method.error.as_ref().map_or_else(
            || quote!(::core::option::Option::None),
            |error| {
                let shape = shape(error);
                quote!(::core::option::Option::Some(#shape))
            },
        );
        quote! {
            ::transom::Operation::new(
                ::transom::__private::Method {
                    id: #id,
                    service: #wire_service,
                    name: #name,
                    types: || __OPERATIONS[#at].types_hash(),
                    idempotent: #idempotent,
                },
                #docs,
                &#list,
                #output,
                #error,
                #spawn,
            )
        }
    });
    let ids = service.methods.iter().map(|method| method.id);
    let indices = 0..count;
    quote! {
        #(#argument_lists)*
        static __OPERATIONS: [::transom::Operation; #count] = [#(#operations),*];
        static __DESCRIPTOR: ::transom::Descriptor =
            ::transom::Descriptor::new(#name, #docs, &__OPERATIONS);

        fn __operation(id: u64) -> ::core::option::Option<&'static ::transom::Operation> {
            match id {
                #(#ids => ::core::option::Option::Some(&__OPERATIONS[#indices]),)*
                _ => ::core::option::Option::None,
            }
        }
    }
}

fn shape(ty: &syn::Type) -> TokenStream {
    quote!(<#ty as ::transom::__private::Facet<'static>>::SHAPE)
}
