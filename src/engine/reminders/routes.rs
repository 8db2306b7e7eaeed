//! What links are called in packs: the class of carrier route that each belongs to, and which of them a text may meet.
//!
//! A text goes by any link of its lane that has room. So every link of the lane counts: were only some of them asked, a
//! text that a pack forbids to one of them would go by it as soon as the others are down. A firm that has both gives
//! such texts a `[[route]]` of their own, by the creditor's `sender`.

use std::collections::BTreeMap;

use crate::message::LinkName;
use crate::reminder::name::Key;
use crate::route::{Router, Way};

/// Classes of links, and the routes that lead to them.
#[derive(Clone, Debug, Default)]
pub struct RouteClasses {
    links: BTreeMap<LinkName, Key>,
    /// `None`: no link is known, as for a state that is only looked at.
    router: Option<Router>,
}

impl RouteClasses {
    pub fn new(links: BTreeMap<LinkName, Key>, router: Router) -> RouteClasses {
        RouteClasses { links, router: Some(router) }
    }

    /// Of every link that may take it.
    pub fn met<'a>(&'a self, way: Way<'_>) -> impl Iterator<Item = &'a str> {
        let links = self.router.as_ref().map_or(&[][..], |router| router.links_of(way));
        links.iter().filter_map(|link| self.links.get(link)).map(Key::as_str)
    }
}
