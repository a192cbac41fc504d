//! The API of files: lists, contents in parts, pictures, figures, and the end of a file.

use printernizer::model::{FileId, FileStatus};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::made;
use crate::made::archive::{gcode_3mf, zip};
use crate::seed::Seeds;
use crate::service::{Service, Setup, wait_for};

/// A service on a directory that holds what `plant` puts there.
fn with<T>(plant: impl FnOnce(&Seeds) -> T) -> (Service, T) {
    let setup = Setup::default();
    let seeds = Seeds::open(setup.directory.path());
    let planted = plant(&seeds);
    seeds.close();
    (Service::with(setup), planted)
}

fn archive(plates: &[u32]) -> Vec<u8> {
    zip(&gcode_3mf(plates, plates, &made::moves(2_000)))
}

/// Waits until pictures and figures of a file are read.
fn read(service: &Service, id: FileId) -> Value {
    let path = format!("/files/{id}");
    let done = |file: &Value| {
        (file["has_metadata"] == true || !file["metadata_error"].is_null())
            && (file["has_thumbnail"] == true || !file["thumbnail_error"].is_null())
    };
    wait_for("the file is read", || done(&service.get(&path)));
    service.get(&path)
}

fn content(service: &Service, id: FileId, headers: &[&str]) -> Answer {
    service.raw("GET", &format!("/files/{id}/content"), headers, None)
}

#[test]
fn pending_work_is_done_after_a_start_and_shown() {
    let (service, id) =
        with(|seeds| seeds.file("Würfel 2.gcode.3mf", &archive(&[1, 2]), &[Some(1), Some(2)]));
    let file = read(&service, id);
    assert_eq!(
        (&file["filename"], &file["file_type"], &file["status"], &file["source"], &file["plate"]),
        (
            &json!("Würfel 2.gcode.3mf"),
            &json!("gcode.3mf"),
            &json!("downloaded"),
            &json!("printer"),
            &json!(2)
        )
    );
    assert_eq!(file["checksum"].as_str().unwrap().len(), 64);
    assert!(file["file_path"].as_str().unwrap().starts_with("files/"));
    let large = &file["thumbnails"]["large"];
    assert_eq!((&large["width"], &large["height"]), (&json!(512), &json!(510)));

    // A picture's own address is good for ever, and is not sent twice.
    let url = large["url"].as_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned();
    let picture = service.raw("GET", &url, &[], None);
    assert_eq!((picture.status, picture.header("Content-Type")), (200, Some("image/png")));
    assert!(picture.header("Cache-Control").unwrap().contains("immutable"));
    assert!(picture.bytes.starts_with(b"\x89PNG"));
    let tag = format!("If-None-Match: {}", picture.header("ETag").unwrap());
    assert_eq!(service.raw("GET", &url, &[&tag], None).status, 304);
    // Without the version it may change, with another one it is not the promised one.
    for other in [format!("/files/{id}/thumbnail"), url.replace("&v=", "&v=0")] {
        let answer = service.raw("GET", &other, &[], None);
        assert_eq!(
            (answer.status, answer.header("Cache-Control")),
            (200, Some("private, no-cache")),
            "{other}"
        );
    }
    // Each plate has its own; a plate nobody asked for is not guessed.
    let of = |plate: &str| {
        service.raw("GET", &format!("/files/{id}/thumbnail?size=large&plate={plate}"), &[], None)
    };
    assert_ne!(of("1").bytes, of("2").bytes);
    assert_eq!(of("3").error(404), "PLATE_NOT_READ");
    assert_eq!(of("0").error(400), "BAD_VALUE");
    assert_eq!(
        service.raw("GET", &format!("/files/{id}/thumbnail?size=huge"), &[], None).error(400),
        "BAD_VALUE"
    );

    let metadata = service.get(&format!("/files/{id}/metadata?plate=1"));
    let mut fields: Vec<&str> = metadata.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["error", "format", "metadata", "plate", "plate_count", "sliced", "thumbnails", "warnings"]
    );
    assert_eq!((&metadata["plate"], &metadata["metadata"]["layer_count"]), (&json!(1), &json!(100)));
    assert!(metadata["thumbnails"][0].get("sha256").is_none());
    assert_eq!(service.get(&format!("/files/{id}/metadata"))["plate"], 2);

    // The events say the same, and carry the flow of the request.
    let events = service.journal();
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| {
            ["file_thumbnails_processed", "file_metadata_extracted"]
                .contains(&event["event"].as_str().unwrap())
        })
        .collect();
    assert_eq!(done.len(), 4);
    assert!(done.iter().all(|event| event["flow"] == "print-j1" && event["cause"] == 1));
}

#[test]
fn contents_come_whole_and_in_parts() {
    let bytes = archive(&[1]);
    let (service, id) = with(|seeds| seeds.file("Kü\"che.gcode.3mf", &bytes, &[]));
    let whole = content(&service, id, &[]);
    assert_eq!((whole.status, &whole.bytes), (200, &bytes));
    assert_eq!(whole.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(whole.header("Content-Length"), Some(bytes.len().to_string().as_str()));
    let disposition = whole.header("Content-Disposition").unwrap();
    assert!(disposition.ends_with("filename*=UTF-8''K%C3%BC%22che.gcode.3mf"), "{disposition}");
    let tag = whole.header("ETag").unwrap().to_owned();
    let end = bytes.len() - 1;
    for (range, first, last) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=5-70000".to_owned(), 5, 70_000.min(end)),
        (format!("bytes={end}-"), end, end),
        ("bytes=-7".to_owned(), end - 6, end),
        ("bytes=1-99999999999".to_owned(), 1, end),
    ] {
        let part = content(&service, id, &[&format!("Range: {range}")]);
        assert_eq!((part.status, part.bytes.as_slice()), (206, &bytes[first..=last]), "{range}");
        let said = format!("bytes {first}-{last}/{}", bytes.len());
        assert_eq!(part.header("Content-Range"), Some(said.as_str()), "{range}");
    }
    let behind = content(&service, id, &[&format!("Range: bytes={}-", bytes.len())]);
    assert_eq!(behind.header("Content-Range"), Some(format!("bytes */{}", bytes.len()).as_str()));
    assert_eq!(behind.error(416), "RANGE_NOT_SATISFIABLE");
    for ignored in ["bytes=0-1,3-4", "lines=1-2", "bytes=9-1"] {
        assert_eq!(content(&service, id, &[&format!("Range: {ignored}")]).status, 200, "{ignored}");
    }
    assert_eq!(content(&service, id, &["Range: bytes=0-3", &format!("If-Range: {tag}")]).status, 206);
    assert_eq!(content(&service, id, &["Range: bytes=0-3", "If-Range: \"other\""]).status, 200);
    let known = content(&service, id, &[&format!("If-None-Match: {tag}")]);
    assert_eq!((known.status, known.header("ETag"), known.bytes.len()), (304, Some(tag.as_str()), 0));
    let head = service.raw("HEAD", &format!("/files/{id}/content"), &[], None);
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("Content-Length"), Some(bytes.len().to_string().as_str()));
    for (path, status) in
        [("/files/f999/content", 404), ("/files/%2e%2e/content", 404), ("/files/x/content", 404)]
    {
        service.raw("GET", path, &[], None).error(status);
    }
}

/// The names of a list.
fn names(service: &Service, query: &str) -> Vec<String> {
    let list = service.get(&format!("/files?{query}"));
    assert_eq!(list["total_count"], list["pagination"]["total_items"]);
    list["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lists_are_filtered_ordered_and_paged() {
    let (service, first) = with(|seeds| {
        let first = seeds.file("boat.gcode", made::text::prusa_like("Slicer", "", "").as_bytes(), &[None]);
        seeds.listed(2, "Anchor.3mf", 30);
        seeds.listed(2, "cabin.3mf", 10);
        seeds.listed(1, "Öl.3mf", 20);
        seeds.listed(1, "Öl.3mf", 25);
        first
    });
    read(&service, first);
    assert_eq!(
        names(&service, "order_dir=asc"),
        ["boat.gcode", "Anchor.3mf", "cabin.3mf", "Öl.3mf", "Öl.3mf"]
    );
    assert_eq!(names(&service, "limit=2&page=2"), ["cabin.3mf", "Anchor.3mf"]);
    assert_eq!(
        names(&service, "order_by=filename&order_dir=asc"),
        ["Anchor.3mf", "boat.gcode", "cabin.3mf", "Öl.3mf", "Öl.3mf"]
    );
    assert_eq!(names(&service, "order_by=filename&order_dir=asc&limit=2&page=2"), ["cabin.3mf", "Öl.3mf"]);
    assert_eq!(
        names(&service, "order_by=file_size&order_dir=asc&printer_id=p2"),
        ["cabin.3mf", "Anchor.3mf"]
    );
    assert_eq!(names(&service, "order_by=downloaded_at&limit=1"), ["boat.gcode"]);
    assert_eq!(names(&service, "status=downloaded"), ["boat.gcode"]);
    assert_eq!(names(&service, "search=%C3%B6l&limit=1"), ["Öl.3mf"]);
    assert_eq!(names(&service, "has_thumbnail=true"), Vec::<String>::new());
    assert_eq!(names(&service, "source=upload"), Vec::<String>::new());
    for wrong in [
        "status=gone",
        "order_by=colour",
        "order_dir=up",
        "printer_id=x",
        "source=cloud",
        "has_thumbnail=perhaps",
        "limit=0",
    ] {
        assert_eq!(
            service.raw("GET", &format!("/files?{wrong}"), &[], None).error(400),
            "BAD_VALUE",
            "{wrong}"
        );
    }
    assert_eq!(service.raw("GET", "/printers/p1/files", &[], None).error(404), "NOT_FOUND");
    let statistics = service.get("/files/statistics");
    assert_eq!(
        (&statistics["total_files"], &statistics["by_status"]["available"], &statistics["kept_contents"]),
        (&json!(5), &json!(4), &json!(1))
    );
    let list = service.raw("GET", "/files", &[], None);
    let tag = format!("If-None-Match: {}", list.header("ETag").unwrap());
    assert_eq!(service.raw("GET", "/files", &[&tag], None).status, 304);
}

#[test]
fn bytes_go_with_their_last_user() {
    let bytes = archive(&[1]);
    let (service, (first, second)) = with(|seeds| {
        (seeds.file("a.gcode.3mf", &bytes, &[None]), seeds.file("b.gcode.3mf", &bytes, &[None]))
    });
    let place = service.directory().join(read(&service, first)["file_path"].as_str().unwrap());
    read(&service, second);
    let delete = |id: FileId| service.call("DELETE", &format!("/files/{id}"), None);
    assert_eq!(delete(first).status, 204);
    assert_eq!(service.get(&format!("/files/{first}"))["status"], "deleted");
    assert_eq!(content(&service, first, &[]).error(404), "NOT_KEPT_HERE");
    assert!(place.exists());
    assert_eq!(
        (content(&service, second, &[]).status, read(&service, second)["has_thumbnail"].clone()),
        (200, json!(true))
    );
    assert_eq!(delete(second).status, 204);
    assert!(!place.exists());
    let thumbs = service.directory().join("thumbs");
    let left: usize = std::fs::read_dir(thumbs)
        .unwrap()
        .map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count())
        .sum();
    assert_eq!(left, 0);
    // The second time the record goes too.
    assert_eq!(delete(second).status, 204);
    assert_eq!(delete(second).error(404), "NOT_FOUND");
    let told = service.journal().into_iter().filter(|event| event["event"] == "file_deleted").count();
    assert_eq!(told, 3);
    // What is gone is not asked for again.
    assert_eq!(
        service.post(&format!("/files/{first}/process-thumbnails"), json!({})).error(409),
        "NOT_KEPT_HERE"
    );
}

#[test]
fn a_file_is_pinned_read_anew_and_kept_from_its_own_print() {
    let (service, (id, bad)) = with(|seeds| {
        let bad = seeds.file("noise.3mf", b"no archive at all", &[None]);
        (seeds.file("a.gcode.3mf", &archive(&[1]), &[None]), bad)
    });
    read(&service, id);
    let path = format!("/files/{id}");
    assert_eq!(service.call("PUT", &format!("{path}/pin"), None).expect(200)["is_pinned"], true);
    let off = service.call("PUT", &format!("{path}/pin"), Some(json!({"pinned": false}))).expect(200);
    assert_eq!(off["is_pinned"], false);
    let count = || {
        let events = service.journal();
        events
            .iter()
            .filter(|event| {
                event["event"] == "file_thumbnails_processed" && event["data"]["file_id"] == id.to_string()
            })
            .count()
    };
    assert_eq!(count(), 1);
    let asked = service.post(&format!("{path}/process-thumbnails"), json!({})).expect(202);
    assert_eq!(asked["status"], "pending");
    wait_for("it was read anew", || count() == 2);
    // Damage is said where somebody looks for the picture.
    let file = read(&service, bad);
    assert_eq!(
        (&file["thumbnail_error"]["kind"], &file["metadata_error"]["kind"]),
        (&json!("corrupt"), &json!("corrupt"))
    );
    let answer = service.raw("GET", &format!("/files/{bad}/thumbnail"), &[], None);
    assert_eq!(answer.error(404), "NO_THUMBNAIL");
    assert_eq!(answer.json()["details"]["kind"], "corrupt");
    assert_eq!(service.raw("GET", &format!("/files/{bad}/metadata"), &[], None).error(404), "NO_METADATA");
}

#[test]
fn long_lists_hold_a_page_only() {
    let (service, ()) = with(|seeds| {
        let id = seeds.listed(1, "0000.3mf", 0);
        seeds.change(id, |file| file.status = FileStatus::Unavailable);
        for number in 1..300_u64 {
            seeds.listed(1 + number % 2, &format!("{:04}.3mf", number * 7919 % 300), number);
        }
    });
    let page = names(&service, "order_by=filename&order_dir=asc&limit=5&page=59");
    assert_eq!(page, ["0290.3mf", "0291.3mf", "0292.3mf", "0293.3mf", "0294.3mf"]);
    assert_eq!(names(&service, "order_by=file_size&limit=1").len(), 1);
    assert_eq!(names(&service, "status=unavailable"), ["0000.3mf"]);
    assert_eq!(service.get("/files?printer_id=p2&limit=200")["total_count"], 150);
    assert_eq!(names(&service, "page=1000000"), Vec::<String>::new());
}
