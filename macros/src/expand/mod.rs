//! From the model to code. Generated code names the `transom` crate only by absolute paths; its own names begin
//! with two underscores where a user's could meet them.

mod arguments;
mod clients;
mod descriptor;
mod server;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::{Argument, Method, Service};

/// All that a service expands to.
pub(crate) fn service(service: &Service) -> TokenStream {
    let contract = contract(service);
    let structs = service.methods.iter().map(|method| arguments::definition(service, method));
    let clients = clients::definitions(service);
    let server = server::definition(service);
    let descriptor = descriptor::statics(service);
    let arguments = service.methods.iter().enumerate().map(|(at, method)| arguments::codecs(at, method));
    let client_impls = clients::implementations(service);
    let server_impls = server::implementations(service);
    quote! {
        #contract
        #(#structs)*
        #clients
        #server
        #[allow(dead_code, clippy::needless_borrow)]
        const _: () = {
            use ::transom::__private::{PickFacet as _, PickPlain as _};
            #descriptor
            #(#arguments)*
            #client_impls
            #server_impls
        };
    }
}

/// The trait, as implementors see it: futures are `Send`, and so is the service.
fn contract(service: &Service) -> TokenStream {
    let Service { attributes, visibility, name, supertraits, methods, .. } = service;
    let methods = methods.iter().map(|method| {
        let Method { attributes, name, context, returns, .. } = method;
        let context = context.iter();
        let arguments =
            method.arguments.iter().map(|Argument { name, declared, .. }| quote!(#name: #declared));
        let returns = if method.is_async {
            quote!(impl ::core::future::Future<Output = #returns> + ::core::marker::Send)
        } else {
            quote!(#returns)
        };
        quote! {
            #(#attributes)*
            fn #name(&self, #(#context,)* #(#arguments),*) -> #returns;
        }
    });
    let more = if supertraits.is_empty() { quote!() } else { quote!(+ #supertraits) };
    quote! {
        #(#attributes)*
        #visibility trait #name: ::core::marker::Send + ::core::marker::Sync + 'static #more {
            #(#methods)*
        }
    }
}

/// The codec of a type, as an expression; what is wrong with the type is reported where it stands.
fn codec(ty: &syn::Type) -> TokenStream {
    quote_spanned!(ty.span()=> (&&::transom::__private::Pick::<#ty>::NEW).pick())
}

/// The attributes that hold for a method's callers too.
fn caller_attributes(method: &Method) -> impl Iterator<Item = &syn::Attribute> {
    method
        .attributes
        .iter()
        .filter(|attribute| ["doc", "deprecated"].iter().any(|name| attribute.path().is_ident(name)))
}

/// The name of what is generated for a service.
fn named(service: &Service, suffix: &str) -> syn::Ident {
    format_ident!("{}{}", service.name, suffix)
}
