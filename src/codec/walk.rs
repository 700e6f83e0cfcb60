//! The way to the handles in values of a type: found once, gone for each value.

use std::sync::Arc;

use facet::{ConstTypeId, Def, Field, FieldFlags, OpaqueBorrow, Shape, StructType, Type, UserType};
use facet_reflect::{Peek, PeekEnum, PeekStruct};
use rustc_hash::FxHashMap;

use super::handles::{Handle, HandleError, Handles, Kind, kind};

/// The way through values of a type to the handles in them. A place in `steps` for each type that is on it; the first
/// is that of the values, and there is none where there are no handles. A type that contains itself is a circle.
#[derive(Debug)]
pub(super) struct Walk {
    steps: Vec<Step>,
    /// Whether it leads to ends of channels, too.
    ends: bool,
}

/// Where to go on in a value; a number is a place in the list of steps.
#[derive(Clone, Debug)]
enum Step {
    /// There is none in it.
    Nowhere,
    /// It is one.
    Here,
    /// It is encoded as something else.
    Hidden(&'static str, usize),
    /// In some of its fields.
    Fields(Fields),
    /// In some of the fields of some of its cases.
    Cases(Vec<Fields>),
    /// In what it points at.
    Behind(usize),
    /// In what it has, if it has something.
    Within(usize),
    /// In either case of a result.
    Either(usize, usize),
    /// In each of its elements.
    Each(usize),
    /// In keys and values.
    Entries(usize, usize),
}

/// Fields by their index, and the step to take in each.
type Fields = Vec<(usize, usize)>;

impl Walk {
    /// The way in values of a type.
    ///
    /// # Errors
    /// [`HandleError::Hidden`] if there are handles that no way leads to.
    pub(super) fn of(shape: &'static Shape) -> Result<Self, HandleError> {
        let mut survey = Survey::default();
        survey.visit(shape);
        let (steps, ends) = (survey.steps, survey.ends);
        let leads = leads(&steps);
        let hidden = steps.iter().find_map(|step| match *step {
            Step::Hidden(ty, to) if leads[to] => Some(ty),
            _ => None,
        });
        if let Some(ty) = hidden {
            return Err(HandleError::Hidden { ty });
        }
        if leads.first() != Some(&true) {
            return Ok(Self { steps: Vec::new(), ends: false });
        }
        let steps = steps.into_iter().map(|step| without_dead_ends(step, &leads)).collect();
        Ok(Self { steps, ends })
    }

    /// Whether values may have handles.
    pub(super) fn leads_somewhere(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether there may be ends of channels among them.
    pub(super) fn leads_to_ends(&self) -> bool {
        self.ends
    }

    /// Collects the handles in a value.
    pub(super) fn collect(&self, value: Peek<'_, '_>, into: &mut Handles) {
        self.go(0, value, into);
    }

    fn go(&self, at: usize, value: Peek<'_, '_>, into: &mut Handles) {
        let Some(step) = self.steps.get(at) else { return };
        // Each step was found in the shape that the value has, so that what is asked of it here is there.
        match step {
            Step::Nowhere | Step::Hidden(..) => {}
            Step::Here => {
                into_struct(value).and_then(handle).into_iter().for_each(|handle| into.push(handle))
            }
            Step::Fields(fields) => {
                let Some(of) = into_struct(value) else { return };
                let values = fields.iter().filter_map(|&(index, to)| Some((to, of.field(index).ok()?)));
                values.for_each(|(to, field)| self.go(to, field, into));
            }
            Step::Cases(cases) => {
                let Ok(of) = value.into_enum() else { return };
                let Some(fields) = of.variant_index().ok().and_then(|case| cases.get(case)) else { return };
                let field = |index| PeekEnum::field(of, index).ok().flatten();
                let values = fields.iter().filter_map(|&(index, to)| Some((to, field(index)?)));
                values.for_each(|(to, field)| self.go(to, field, into));
            }
            &Step::Behind(to) => {
                let inner = value.into_pointer().ok().and_then(|pointer| pointer.borrow_inner());
                inner.into_iter().for_each(|inner| self.go(to, inner, into));
            }
            &Step::Within(to) => {
                let inner = value.into_option().ok().and_then(|option| option.value());
                inner.into_iter().for_each(|inner| self.go(to, inner, into));
            }
            &Step::Either(good, bad) => {
                let Ok(result) = value.into_result() else { return };
                result.ok().into_iter().for_each(|inner| self.go(good, inner, into));
                result.err().into_iter().for_each(|inner| self.go(bad, inner, into));
            }
            &Step::Each(to) => {
                if let Ok(list) = value.into_list_like() {
                    list.iter().for_each(|element| self.go(to, element, into));
                } else if let Ok(set) = value.into_set() {
                    set.iter().for_each(|element| self.go(to, element, into));
                }
            }
            &Step::Entries(keys, values) => {
                let Ok(map) = value.into_map() else { return };
                for (key, value) in map.iter() {
                    self.go(keys, key, into);
                    self.go(values, value, into);
                }
            }
        }
    }
}

/// The handle of a value that is one: the first field of its type.
fn handle(value: PeekStruct<'_, '_>) -> Option<Arc<Handle>> {
    let field = value.field(0).ok()?;
    Some(Arc::clone(&field.get::<OpaqueBorrow<'_, Arc<Handle>>>().ok()?.0))
}

fn into_struct<'v, 'f>(value: Peek<'v, 'f>) -> Option<PeekStruct<'v, 'f>> {
    value.into_struct().ok()
}

/// The types that were seen so far, and the steps in them.
#[derive(Default)]
struct Survey {
    places: FxHashMap<ConstTypeId, usize>,
    steps: Vec<Step>,
    /// Whether ends of channels were seen.
    ends: bool,
}

impl Survey {
    /// The place of a type; it is looked into if it is seen for the first time.
    fn visit(&mut self, shape: &'static Shape) -> usize {
        if let Some(&place) = self.places.get(&shape.id) {
            return place;
        }
        let place = self.place(Step::Nowhere);
        self.places.insert(shape.id, place);
        self.steps[place] = self.step(shape);
        place
    }

    fn place(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn step(&mut self, shape: &'static Shape) -> Step {
        if let Some(kind) = kind(shape) {
            self.ends |= kind != Kind::Descriptor;
            return Step::Here;
        }
        if let Some(proxy) = shape.proxy {
            return Step::Hidden(shape.type_identifier, self.visit(proxy.shape));
        }
        match shape.def {
            Def::List(list) => Step::Each(self.visit(list.t())),
            Def::Slice(slice) => Step::Each(self.visit(slice.t())),
            Def::Array(array) => Step::Each(self.visit(array.t())),
            Def::Set(set) => Step::Each(self.visit(set.t())),
            Def::Map(map) => Step::Entries(self.visit(map.k()), self.visit(map.v())),
            Def::Option(option) => Step::Within(self.visit(option.t())),
            Def::Result(result) => Step::Either(self.visit(result.t()), self.visit(result.e())),
            Def::Pointer(pointer) => {
                pointer.pointee.map_or(Step::Nowhere, |pointee| Step::Behind(self.visit(pointee)))
            }
            _ => match shape.ty {
                Type::User(UserType::Struct(of)) => Step::Fields(self.fields(of)),
                Type::User(UserType::Enum(of)) => {
                    Step::Cases(of.variants.iter().map(|case| self.fields(case.data)).collect())
                }
                _ => Step::Nowhere,
            },
        }
    }

    /// The fields that are encoded.
    fn fields(&mut self, of: StructType) -> Fields {
        let skipped = FieldFlags::SKIP | FieldFlags::SKIP_SERIALIZING;
        let fields = of.fields.iter().enumerate();
        let encoded = fields.filter(|(_, field)| (field.flags & skipped).is_empty() && !field.is_metadata());
        encoded.map(|(index, field)| (index, self.field(field))).collect()
    }

    fn field(&mut self, field: &'static Field) -> usize {
        match field.proxy {
            Some(proxy) => {
                let to = self.visit(proxy.shape);
                self.place(Step::Hidden(field.name, to))
            }
            None => self.visit(field.shape()),
        }
    }
}

/// From which places steps lead to a handle.
fn leads(steps: &[Step]) -> Vec<bool> {
    let mut leads = vec![false; steps.len()];
    loop {
        let mut found = false;
        for (at, step) in steps.iter().enumerate() {
            if !leads[at] && leads_on(step, &leads) {
                leads[at] = true;
                found = true;
            }
        }
        if !found {
            return leads;
        }
    }
}

fn leads_on(step: &Step, leads: &[bool]) -> bool {
    let any = |fields: &Fields| fields.iter().any(|&(_, to)| leads[to]);
    match step {
        Step::Nowhere => false,
        Step::Here => true,
        Step::Fields(fields) => any(fields),
        Step::Cases(cases) => cases.iter().any(any),
        &(Step::Hidden(_, to) | Step::Behind(to) | Step::Within(to) | Step::Each(to)) => leads[to],
        &(Step::Either(one, other) | Step::Entries(one, other)) => leads[one] || leads[other],
    }
}

/// The step without what leads nowhere.
fn without_dead_ends(step: Step, leads: &[bool]) -> Step {
    if !leads_on(&step, leads) {
        return Step::Nowhere;
    }
    let without = |mut fields: Fields| {
        fields.retain(|&(_, to)| leads[to]);
        fields
    };
    match step {
        Step::Fields(fields) => Step::Fields(without(fields)),
        Step::Cases(cases) => Step::Cases(cases.into_iter().map(without).collect()),
        other => other,
    }
}
