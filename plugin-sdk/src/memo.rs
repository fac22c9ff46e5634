//! Values that were fetched once and are kept as long as a view lives.
//!
//! An append-only list: what was put in can be borrowed while more is put in, so that reading
//! a view needs no `&mut`. Views fetch few values, so a list beats a map.

use std::cell::OnceCell;

pub(crate) struct Memo<V> {
    head: OnceCell<Box<Node<V>>>,
}

struct Node<V> {
    name: String,
    value: V,
    next: OnceCell<Box<Node<V>>>,
}

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self { head: OnceCell::new() }
    }
}

impl<V> Memo<V> {
    /// The value under a name, which `fetch` makes if there is none.
    pub(crate) fn value_or(&self, name: &str, fetch: impl FnOnce() -> V) -> &V {
        let mut cell = &self.head;
        while let Some(node) = cell.get() {
            if node.name == name {
                return &node.value;
            }
            cell = &node.next;
        }
        let value = fetch();
        &cell
            .get_or_init(|| Box::new(Node { name: name.to_owned(), value, next: OnceCell::new() }))
            .value
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.head.take();
    }
}
