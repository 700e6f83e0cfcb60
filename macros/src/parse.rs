//! From tokens to the model; every refusal points at the token that is in the way.

use std::collections::HashMap;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, Expr, FnArg, GenericArgument, Generics, Ident, Item, ItemTrait, Lifetime, Lit, Meta,
    Pat, PatType, PathArguments, PathSegment, Receiver, Result, ReturnType, Signature, TraitItem,
    TraitItemFn, Type, TypeReference,
};

use crate::kebab::{kebab, method_id, pascal};
use crate::model::{Argument, Method, Service};

/// Reads and checks a service.
pub(crate) fn service(arguments: TokenStream, item: TokenStream) -> Result<Service> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[transom::service]` takes no arguments"));
    }
    let item = match syn::parse2(item)? {
        Item::Trait(item) => item,
        other => return Err(Error::new(keyword(&other), "`#[transom::service]` goes on a trait")),
    };
    check_trait(&item)?;
    let service = kebab(&item.ident.unraw().to_string());
    let mut problems: Option<Error> = None;
    let mut names = HashMap::new();
    let mut methods = Vec::new();
    for trait_item in item.items {
        let method = read_item(trait_item, &item.ident, &service).and_then(|(wire_name, method)| match names
            .insert(wire_name.clone(), method.name.clone())
        {
            Some(first) => Err(Error::new(
                method.name.span(),
                format!("`{}` and `{first}` are both `{wire_name}` on the wire", method.name),
            )),
            None => Ok(method),
        });
        match (method, &mut problems) {
            (Ok(method), _) => methods.push(method),
            (Err(error), Some(problems)) => problems.combine(error),
            (Err(error), problems) => *problems = Some(error),
        }
    }
    if let Some(problems) = problems {
        return Err(problems);
    }
    Ok(Service {
        docs: docs(&item.attrs),
        attributes: item.attrs,
        visibility: item.vis,
        name: item.ident,
        supertraits: item.supertraits,
        methods,
    })
}

/// The token that says what an item is.
fn keyword(item: &Item) -> Span {
    match item {
        Item::Struct(item) => item.struct_token.span,
        Item::Enum(item) => item.enum_token.span,
        Item::Fn(item) => item.sig.fn_token.span,
        Item::Impl(item) => item.impl_token.span,
        Item::Mod(item) => item.mod_token.span,
        other => other.span(),
    }
}

fn check_trait(item: &ItemTrait) -> Result<()> {
    if let Some(token) = item.unsafety {
        return Err(Error::new(token.span, "a service is not unsafe"));
    }
    if let Some(token) = item.auto_token {
        return Err(Error::new(token.span, "a service is not an auto trait"));
    }
    check_generics(&item.generics, "a service has no generics: the peer would not know what for")
}

fn check_generics(generics: &Generics, refusal: &str) -> Result<()> {
    if !generics.params.is_empty() {
        return Err(Error::new_spanned(&generics.params, refusal));
    }
    generics.where_clause.as_ref().map_or(Ok(()), |clause| Err(Error::new(clause.where_token.span, refusal)))
}

fn read_item(item: TraitItem, service: &Ident, wire_service: &str) -> Result<(String, Method)> {
    match item {
        TraitItem::Fn(item) => read_method(item, service, wire_service),
        TraitItem::Const(item) => Err(Error::new(item.const_token.span, "a service has methods only")),
        TraitItem::Type(item) => Err(Error::new(item.type_token.span, "a service has methods only")),
        other => Err(Error::new_spanned(other, "a service has methods only")),
    }
}

fn read_method(item: TraitItemFn, service: &Ident, wire_service: &str) -> Result<(String, Method)> {
    let TraitItemFn { attrs, sig, default, .. } = item;
    check_signature(&sig)?;
    if let Some(body) = default {
        return Err(Error::new(body.brace_token.span.open(), "a method of a service has no default body"));
    }
    let mut inputs = sig.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) => check_receiver(receiver)?,
        _ => return Err(Error::new(sig.ident.span(), "a method of a service takes `&self`")),
    }
    let mut context = None;
    let mut arguments = Vec::new();
    for (index, input) in inputs.enumerate() {
        let FnArg::Typed(input) = input else { continue };
        if !is_context(&input.ty) {
            arguments.push(read_argument(input)?);
        } else if index == 0 {
            parameter_name(input)?;
            context = Some(input.to_token_stream());
        } else {
            return Err(Error::new_spanned(&input.ty, "the context is a method's first parameter"));
        }
    }
    let (returns, output, error) = read_output(&sig.output)?;
    let (attributes, Marks { spawn, idempotent }) = read_attributes(attrs)?;
    let wire_name = kebab(&sig.ident.unraw().to_string());
    let method = Method {
        docs: docs(&attributes),
        attributes,
        arguments_name: format_ident!("{}{}", service.unraw(), pascal(&wire_name), span = sig.ident.span()),
        id: method_id(wire_service, &wire_name),
        is_async: sig.asyncness.is_some(),
        spawn,
        idempotent,
        context,
        arguments,
        returns,
        output,
        error,
        name: sig.ident,
    };
    Ok((wire_name, method))
}

fn check_signature(sig: &Signature) -> Result<()> {
    check_generics(&sig.generics, "a method of a service has no generics: the peer would not know what for")?;
    let refused = [
        sig.constness.map(|token| (token.span, "a method of a service is not const")),
        sig.unsafety.map(|token| (token.span, "a method of a service is not unsafe")),
        sig.abi.as_ref().map(|abi| (abi.extern_token.span, "a method of a service is not extern")),
        sig.variadic.as_ref().map(|token| (token.span(), "a method of a service is not variadic")),
        (sig.ident == "with").then(|| (sig.ident.span(), "the blocking client has a `with` of its own")),
    ];
    refused.into_iter().flatten().next().map_or(Ok(()), |(span, refusal)| Err(Error::new(span, refusal)))
}

fn check_receiver(receiver: &Receiver) -> Result<()> {
    match receiver {
        Receiver { reference: Some((_, None)), mutability: None, colon_token: None, .. } => Ok(()),
        _ => {
            Err(Error::new_spanned(receiver, "a method of a service takes `&self`: calls come many at once"))
        }
    }
}

/// Whether a type is `&Context`. Other references to named types are no arguments, so the name decides.
fn is_context(ty: &Type) -> bool {
    let Type::Reference(TypeReference { mutability: None, elem, .. }) = ty else { return false };
    let Type::Path(path) = &**elem else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "Context" && last.arguments.is_empty())
}

fn parameter_name(input: &PatType) -> Result<Ident> {
    match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.mutability.is_none() && pat.subpat.is_none() => {
            Ok(pat.ident.clone())
        }
        other => Err(Error::new_spanned(other, "an argument has a name, not a pattern")),
    }
}

fn read_argument(input: &PatType) -> Result<Argument> {
    let name = parameter_name(input)?;
    let declared = (*input.ty).clone();
    let mut borrows = Borrows::of("__a");
    let mut named = declared.clone();
    borrows.visit_type_mut(&mut named);
    if let Some(problem) = borrows.problem {
        return Err(problem);
    }
    let mut forever = declared.clone();
    Borrows::of("static").visit_type_mut(&mut forever);
    Ok(Argument { name, declared, named, forever, borrows: borrows.found })
}

/// The type as declared, the good case, and the error if it is a `Result`.
fn read_output(output: &ReturnType) -> Result<(Type, Type, Option<Type>)> {
    let ReturnType::Type(_, declared) = output else {
        let unit: Type = syn::parse_quote!(());
        return Ok((unit.clone(), unit, None));
    };
    let mut borrows = Borrows::of("static");
    borrows.visit_type_mut(&mut (**declared).clone());
    if let Some(borrow) = borrows.first {
        return Err(Error::new(borrow, "a result is owned: it outlives the request"));
    }
    if let Some(problem) = borrows.problem {
        return Err(problem);
    }
    let whole = (**declared).clone();
    let Type::Path(path) = &whole else { return Ok((whole.clone(), whole, None)) };
    let Some(last) = path.path.segments.last().filter(|last| last.ident == "Result") else {
        return Ok((whole.clone(), whole, None));
    };
    let PathArguments::AngleBracketed(cases) = &last.arguments else {
        return Err(Error::new_spanned(&whole, "write both cases: `Result<T, E>`"));
    };
    let cases: Vec<&GenericArgument> = cases.args.iter().collect();
    match cases[..] {
        [GenericArgument::Type(output), GenericArgument::Type(error)] => {
            let mut ends = ChannelEnds::default();
            ends.visit_type_mut(&mut error.clone());
            if let Some(end) = ends.first {
                return Err(Error::new(
                    end.span(),
                    format!("an error has no channel ends: return the `{end}` in the good case"),
                ));
            }
            Ok((whole.clone(), output.clone(), Some(error.clone())))
        }
        _ => Err(Error::new_spanned(&whole, "write both cases: `Result<T, E>`")),
    }
}

/// What `#[transom(..)]` says about a method.
#[derive(Default)]
struct Marks {
    spawn: bool,
    idempotent: bool,
}

/// The attributes that stay on the method, and how it is marked.
fn read_attributes(attributes: Vec<Attribute>) -> Result<(Vec<Attribute>, Marks)> {
    let mut marks = Marks::default();
    let mut kept = Vec::new();
    for attribute in attributes {
        if attribute.path().is_ident("transom") {
            attribute.parse_nested_meta(|meta| {
                match () {
                    () if meta.path.is_ident("spawn") => marks.spawn = true,
                    () if meta.path.is_ident("idempotent") => marks.idempotent = true,
                    () => return Err(meta.error("only `spawn` and `idempotent` are known here")),
                }
                Ok(())
            })?;
        } else if attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr") {
            return Err(Error::new_spanned(
                attribute.path(),
                "a service has the same methods in every build: put this on the trait",
            ));
        } else {
            kept.push(attribute);
        }
    }
    Ok((kept, marks))
}

fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a type has the name of a channel's end. What else may have that name is not told apart.
fn is_channel_end(name: &Ident) -> bool {
    name == "Tx" || name == "Rx"
}

/// Finds the channel ends in a type, as deep as its tokens go.
#[derive(Default)]
struct ChannelEnds {
    first: Option<Ident>,
}

impl VisitMut for ChannelEnds {
    fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
        if is_channel_end(&segment.ident) {
            self.first.get_or_insert_with(|| segment.ident.clone());
        }
        visit_mut::visit_path_segment_mut(self, segment);
    }
}

/// Gives every borrow in a type one lifetime, and finds what cannot be an argument.
struct Borrows {
    lifetime: &'static str,
    found: bool,
    first: Option<Span>,
    /// Whether what is looked at is part of a channel's item.
    in_item: bool,
    problem: Option<Error>,
}

impl Borrows {
    fn of(lifetime: &'static str) -> Self {
        Self { lifetime, found: false, first: None, in_item: false, problem: None }
    }

    fn refuse(&mut self, tokens: &impl ToTokens, refusal: &str) {
        self.problem.get_or_insert_with(|| Error::new_spanned(tokens, refusal));
    }

    fn find(&mut self, span: Span) -> Lifetime {
        if self.in_item {
            self.problem.get_or_insert_with(|| {
                Error::new(span, "an item of a channel outlives the request: it is owned")
            });
        }
        self.found = true;
        self.first.get_or_insert(span);
        Lifetime::new(&format!("'{}", self.lifetime), span)
    }
}

impl VisitMut for Borrows {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if let Some(token) = reference.mutability {
            self.refuse(&token, "a request cannot be changed: take the value and return it");
        }
        if let Some(lifetime) = reference.lifetime.take_if(|lifetime| lifetime.ident != "_") {
            self.refuse(&lifetime, "an argument lives as long as its request, and has no lifetime of a name");
        }
        let target = reference.elem.to_token_stream().to_string();
        if self.problem.is_none() && target != "str" && target != quote!([u8]).to_string() {
            self.refuse(
                &reference,
                "only `&str` and `&[u8]` can be borrowed from a request: take this by value",
            );
        }
        reference.lifetime = Some(self.find(reference.and_token.span));
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident != "_" {
            self.refuse(lifetime, "an argument lives as long as its request, and has no lifetime of a name");
        }
        *lifetime = self.find(lifetime.span());
    }

    fn visit_path_segment_mut(&mut self, segment: &mut PathSegment) {
        let outside = self.in_item;
        self.in_item |= is_channel_end(&segment.ident);
        visit_mut::visit_path_segment_mut(self, segment);
        self.in_item = outside;
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut syn::TypeImplTrait) {
        self.refuse(ty, "a type that crosses processes has a name");
    }

    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::Infer(_) = ty {
            self.refuse(ty, "a type that crosses processes has a name");
        }
        visit_mut::visit_type_mut(self, ty);
    }
}
