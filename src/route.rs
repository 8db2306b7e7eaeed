//! Routes and lanes: which links may send a message. Pure.
//!
//! A lane is the queue of everything that goes by the same links under the same policy; routes that say
//! the same share one. Its number is made from what it says, so it stays the same across restarts and
//! however the routes are ordered. Nothing moves between lanes when a link comes or goes.

use std::collections::BTreeMap;

use crate::config::{Policy, Route};
use crate::message::{Body, Class, LinkName, Msisdn, Sender, TokenName};

/// Names a lane by the links it holds, so it is the same after a restart.
pub type LaneId = u32;

/// Which links serve a lane, and in what order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub via: Vec<LinkName>,
    pub policy: Policy,
}

impl Lane {
    fn id(&self) -> LaneId {
        let names: Vec<&str> = self.via.iter().map(LinkName::as_str).collect();
        crc32c::crc32c(format!("{:?} {}", self.policy, names.join(",")).as_bytes())
    }
}

/// What routes tell messages apart by.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    pub to: Msisdn,
    pub class: Class,
    pub sender: Option<&'a Sender>,
    pub token: &'a TokenName,
}

/// The checked routes of one configuration.
#[derive(Clone, Debug)]
pub struct Router {
    routes: Vec<(Route, LaneId)>,
    /// For messages that fit no route: every link.
    rest: LaneId,
    lanes: BTreeMap<LaneId, Lane>,
}

/// Two different lanes have the same number: one of them must be written differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the routes via {0} and via {1} cannot be told apart; order one of them differently")]
pub struct LaneClash(pub String, pub String);

impl Router {
    pub fn new(routes: &[Route], links: &[LinkName]) -> Result<Router, LaneClash> {
        let mut router = Router { routes: Vec::new(), rest: 0, lanes: BTreeMap::new() };
        router.rest = router.add(Lane { via: links.to_vec(), policy: Policy::Balance })?;
        for link in links {
            router.add(Router::alone(link))?;
        }
        for route in routes {
            let lane = router.add(Lane { via: route.via.clone(), policy: route.policy })?;
            router.routes.push((route.clone(), lane));
        }
        Ok(router)
    }

    fn alone(link: &LinkName) -> Lane {
        Lane { via: vec![link.clone()], policy: Policy::Failover }
    }

    fn add(&mut self, lane: Lane) -> Result<LaneId, LaneClash> {
        let id = lane.id();
        match self.lanes.get(&id) {
            Some(other) if *other != lane => Err(LaneClash(join(&other.via), join(&lane.via))),
            _ => {
                self.lanes.insert(id, lane);
                Ok(id)
            }
        }
    }

    pub fn lanes(&self) -> &BTreeMap<LaneId, Lane> {
        &self.lanes
    }

    /// The lane of a message. `bound_to`: the link that has some of its segments already.
    /// `None` when it must go by a link that is not configured.
    pub fn lane(&self, body: &Body, bound_to: Option<&LinkName>) -> Option<LaneId> {
        if let Some(link) = bound_to.or(body.link.as_ref()) {
            let id = Router::alone(link).id();
            return self.lanes.contains_key(&id).then_some(id);
        }
        let Body { to, class, sender, token, .. } = body;
        Some(self.lane_by_route(Way { to: *to, class: *class, sender: sender.as_ref(), token }))
    }

    fn lane_by_route(&self, way: Way<'_>) -> LaneId {
        let number = way.to.to_e164();
        let fits = |route: &Route| {
            (route.to.is_empty() || route.to.iter().any(|prefix| number.starts_with(prefix.as_str())))
                && (route.class.is_empty() || route.class.contains(&way.class))
                && (route.sender.is_empty() || way.sender.is_some_and(|s| route.sender.contains(s)))
                && (route.token.is_empty() || route.token.contains(way.token))
        };
        self.routes.iter().find(|(route, _)| fits(route)).map_or(self.rest, |(_, lane)| *lane)
    }

    /// The links that may take such a message, where it asks for none by name.
    pub fn links_of(&self, way: Way<'_>) -> &[LinkName] {
        self.lanes.get(&self.lane_by_route(way)).map_or(&[], |lane| &lane.via)
    }
}

fn join(via: &[LinkName]) -> String {
    via.iter().map(LinkName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::body::sample;

    fn route(to: &[&str], class: &[Class], via: &[&str]) -> Route {
        Route {
            to: to.iter().map(|p| (*p).to_owned()).collect(),
            class: class.to_vec(),
            sender: vec![],
            token: vec![],
            via: via.iter().map(|&l| l.into()).collect(),
            policy: Policy::Failover,
        }
    }

    fn via(router: &Router, body: &Body, bound: Option<&str>) -> Option<String> {
        let bound = bound.map(LinkName::from);
        router.lane(body, bound.as_ref()).map(|lane| join(&router.lanes()[&lane].via))
    }

    #[test]
    fn the_first_route_that_fits_wins_and_the_rest_goes_by_any_link() {
        let links: Vec<LinkName> = ["a", "b", "c"].map(LinkName::from).into();
        let routes = [route(&["+49"], &[Class::Otp], &["a"]), route(&["+49", "+43"], &[], &["b", "a"])];
        let router = Router::new(&routes, &links).unwrap();
        let mut body = sample();
        assert_eq!(via(&router, &body, None).unwrap(), "b, a");
        body.class = Class::Otp;
        assert_eq!(via(&router, &body, None).unwrap(), "a");
        body.to = Msisdn::parse_e164("+447700900123").unwrap();
        assert_eq!(via(&router, &body, None).unwrap(), "a, b, c");
    }

    #[test]
    fn a_wished_or_bound_link_overrides_the_routes_and_may_be_missing() {
        let links: Vec<LinkName> = ["a", "b"].map(LinkName::from).into();
        let router = Router::new(&[], &links).unwrap();
        let mut body = sample();
        assert_eq!(via(&router, &body, Some("b")).unwrap(), "b");
        body.link = Some("gone".into());
        assert_eq!(via(&router, &body, None), None);
    }
}
