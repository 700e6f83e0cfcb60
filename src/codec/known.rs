//! What is known of types that reflection encodes: found out once in each thread, before the first value.

use std::cell::RefCell;
use std::rc::Rc;

use facet::{ConstTypeId, Shape};
use rustc_hash::FxHashMap;

use super::elements::{self, Bodiless};
use super::handles::HandleError;
use super::walk::Walk;

thread_local! {
    static KNOWN: RefCell<FxHashMap<ConstTypeId, Rc<Walk>>> = RefCell::default();
}

/// The way to the handles in values of a type, which is fit to be encoded.
///
/// # Errors
/// [`Bodiless`] or [`HandleError`] says why it is not.
pub(super) fn known<E: From<Bodiless> + From<HandleError>>(shape: &'static Shape) -> Result<Rc<Walk>, E> {
    // At the end of a thread nothing is kept any more; then the type is looked at once more.
    let known = KNOWN.try_with(|known| known.borrow().get(&shape.id).cloned());
    if let Some(walk) = known.ok().flatten() {
        return Ok(walk);
    }
    elements::check(shape)?;
    let walk = Rc::new(Walk::of(shape)?);
    let _known = KNOWN.try_with(|known| known.borrow_mut().insert(shape.id, Rc::clone(&walk)));
    Ok(walk)
}
