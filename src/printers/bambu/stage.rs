//! `stg_cur`: the step of a print in words, and which steps belong to the preparation (facts from several projects' tables).

/// The step in words; `None` for no step (0 is printing; 255 on P1 and A1, -1 on X1 and H2 is none) or an unknown one.
pub fn words(stage: i32) -> Option<&'static str> {
    Some(match stage {
        1 => "levelling the bed",
        2 => "heating the bed",
        3 => "checking vibration",
        4 => "changing filament",
        5 => "paused by the file",
        6 => "filament ran out",
        7 => "heating the nozzle",
        8 => "calibrating extrusion",
        9 => "scanning the bed",
        10 => "inspecting the first layer",
        11 => "identifying the plate",
        12 | 18 => "calibrating the lidar",
        13 => "homing",
        14 => "cleaning the nozzle",
        15 => "checking the nozzle temperature",
        16 => "paused by a person",
        17 => "front cover off",
        19 => "calibrating flow",
        20 => "nozzle temperature fault",
        21 => "bed temperature fault",
        22 => "unloading filament",
        23 => "a step was skipped",
        24 => "loading filament",
        25 => "calibrating motor noise",
        26 => "AMS lost",
        27 => "heatbreak fan fault",
        28 => "chamber temperature fault",
        29 => "cooling the chamber",
        30 => "paused by the file",
        32 => "filament sticks to the nozzle",
        33 => "cutter fault",
        34 => "first layer fault",
        35 => "nozzle clogged",
        36..=40 | 45..=48 => "calibrating",
        49 => "heating the chamber",
        50 => "cooling the bed",
        51 => "printing calibration lines",
        52 | 55 => "checking the material",
        54 => "waiting for the bed",
        58 => "preconditioning",
        63 => "evening out the chamber",
        64 => "preparing the hotend",
        66 => "purifying the air",
        72..=75 => "checking the machine",
        76 => "extruding before the print",
        77 => "preparing the AMS",
        _ => return None,
    })
}

/// Whether a printer at layer 0 in this step is still preparing.
pub fn is_preparation(stage: i32) -> bool {
    matches!(stage, 1..=4 | 7..=15 | 18 | 19 | 24 | 25 | 29 | 36..=66 | 72..=77)
}
