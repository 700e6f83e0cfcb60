//! The arguments of a method as a struct, and the codecs of arguments, result and error.

use proc_macro2::TokenStream;
use quote::quote;

use super::codec;
use crate::model::{Argument, Method, Service};

/// The struct that holds a call's arguments.
pub(super) fn definition(service: &Service, method: &Method) -> TokenStream {
    let Service { visibility, name: trait_name, .. } = service;
    let Method { name: method_name, arguments_name, .. } = method;
    let life = method.borrows().then(|| quote!(<'__a>));
    let fields = method.arguments.iter().map(|Argument { name, named, .. }| quote!(#name: #named));
    let docs = format!("The arguments of [`{trait_name}::{method_name}`].");
    quote! {
        #[doc = #docs]
        #[doc(hidden)]
        #[allow(dead_code)]
        #visibility struct #arguments_name #life {
            #(#fields),*
        }
    }
}

/// How they become bytes and come back.
pub(super) fn codecs(at: usize, method: &Method) -> TokenStream {
    let Method { arguments_name, output, error, .. } = method;
    let life = method.borrows().then(|| quote!(<'__a>));
    let read_life = if method.borrows() { quote!('__a) } else { quote!('_) };
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.name).collect();
    let codecs: Vec<_> = method.arguments.iter().map(|argument| codec(&argument.named)).collect();
    let output_codec = codec(output);
    let (error_type, decode_error) = match error {
        Some(error) => {
            let codec = codec(error);
            (quote!(#error), quote!(::transom::__private::decode_error(#codec, __from)))
        }
        None => (
            quote!(::core::convert::Infallible),
            quote!(::core::result::Result::Err(::transom::__private::DecodeError::Never)),
        ),
    };
    quote! {
        impl #life #arguments_name #life {
            #[inline]
            fn __decode(
                mut __from: ::transom::__private::Reader<#read_life>,
            ) -> ::core::result::Result<Self, ::transom::__private::DecodeError> {
                let __value = Self {
                    #(#names: ::transom::__private::Codec::decode(#codecs, &mut __from)?,)*
                };
                __from.end()?;
                ::core::result::Result::Ok(__value)
            }
        }

        impl #life ::transom::__private::Encode for #arguments_name #life {
            #[inline]
            fn size(&self) -> ::core::option::Option<usize> {
                ::core::option::Option::Some(
                    0usize #(+ ::transom::__private::Codec::size(#codecs, &self.#names)?)*
                )
            }

            #[inline]
            fn encode<__Sink: ::transom::__private::Sink>(
                &self,
                __out: &mut __Sink,
            ) -> ::core::result::Result<(), ::transom::__private::EncodeError> {
                #(::transom::__private::Codec::encode(#codecs, &self.#names, __out)?;)*
                ::core::result::Result::Ok(())
            }

            #[inline]
            fn handles(&self, __handles: &mut ::transom::__private::Handles) {
                #(::transom::__private::Codec::handles(#codecs, &self.#names, __handles);)*
            }
        }

        impl #life ::transom::__private::Arguments for #arguments_name #life {
            type Output = #output;
            type Error = #error_type;

            #[inline]
            fn method() -> &'static ::transom::__private::Method {
                &__OPERATIONS[#at].method
            }

            #[inline]
            fn decode_output(
                __from: &mut ::transom::__private::Reader<'_>,
            ) -> ::core::result::Result<Self::Output, ::transom::__private::DecodeError> {
                ::transom::__private::Codec::decode(#output_codec, __from)
            }

            #[inline]
            fn output_handles(__output: &Self::Output, __handles: &mut ::transom::__private::Handles) {
                ::transom::__private::Codec::handles(#output_codec, __output, __handles)
            }

            fn decode_error(
                __from: &mut ::transom::__private::Reader<'_>,
            ) -> ::core::result::Result<Self::Error, ::transom::__private::DecodeError> {
                #decode_error
            }
        }
    }
}
